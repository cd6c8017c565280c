"""Critics: one for each ordered pairing, on the joint observation, with a value for each seat."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from rpax.environments.protocol import Environment, Key, SeatSpace
from rpax.estimators.advantages import discounted_advantages
from rpax.objectives.plan import Pairing, distinct
from rpax.policies.agent import Parameters
from rpax.policies.folding import fold
from rpax.slices import take_static
from rpax.training.blocks import map_over_blocks, number_of_blocks, sum_over_blocks, sweep_back_over_blocks
from rpax.training.optimizers import OptimizerState
from rpax.training.packing import CRITICS
from rpax.training.problem import Problem, TrainState
from rpax.training.recorded import take_envs
from rpax.training.rollout import Chunk


def init_critics(problem: Problem, key: Key) -> Parameters:
    """Fresh critics, stacked over ``plan.all_pairings``."""
    seats = [jnp.zeros((1, *space.observation_shape), jnp.result_type(float)) for space in problem.environment.spaces]
    observation = _joint(problem, problem.environment, (seats[0], seats[1]))[0]
    keys = jax.random.split(key, len(problem.plan.all_pairings))
    # Not vmapped: see Trainer._initial_states.
    return jax.lax.map(lambda key_critic: problem.critic.init(key_critic, observation), keys)


def values(
    problem: Problem, critics: Parameters, pairings: Sequence[Pairing], chunk: Chunk
) -> Float[Array, "time_plus_1 pairings envs 2"]:
    """V of both seats before every step of the chunk and after the last one."""
    assert chunk.last is not None, "critics look at whole chunks"
    own = _critics_of(problem, critics, pairings)
    steps = map_over_blocks(lambda seen: _apply(problem, own, pairings, seen), _blocks(chunk), chunk.observations)
    end = _apply(problem, own, pairings, (chunk.last[0][None], chunk.last[1][None]))
    return jnp.concatenate([steps, end])


#: The critics' loss summed over critics, and its gradient.
LossAndGradient = tuple[Float[Array, ""], Parameters]


class Appraisal(NamedTuple):
    """What critics say of a chunk. Constants, as far as policies are concerned.

    Attributes:
        advantage: GAE of each seat from raw plus shaped reward; 0 in steps that do not count.
        targets: what the critics are to predict, A + V.
        loss_and_gradient: of the critics that said so, on the whole chunk, if found in the same sweep.
    """

    advantage: Float[Array, "time pairings envs 2"]
    targets: Float[Array, "time pairings envs 2"]
    loss_and_gradient: LossAndGradient | None


def appraise(
    problem: Problem, state: TrainState, pairings: Sequence[Pairing], chunk: Chunk, *, learn: bool
) -> Appraisal:
    """Advantages; with ``learn``, the critics' gradient too, if they take one plain step on the whole chunk.

    Gradients then come from one sweep backwards over blocks of time: a block's advantages need later blocks only, and
    V − target = −A, so that each block passes through the critics once instead of twice.
    """
    learn = learn and problem.numbers.base_update == "pg"
    reward = chunk.rewards + problem.numbers.shaping * chunk.shaped
    done = jnp.broadcast_to(chunk.done[..., None], reward.shape)
    if learn:
        advantage, value, found = _sweep(problem, state.critics, pairings, chunk, reward, done)
    else:
        every, found = values(problem, state.critics, pairings, chunk), None
        value, advantage = every[:-1], _counted(_advantages(problem, reward, every, done), chunk.counted)
    advantage, value = jax.lax.stop_gradient((advantage, value))
    return Appraisal(advantage, advantage + value, found)


def _advantages(problem: Problem, reward: Array, value: Array, done: Array, following: Array | None = None) -> Array:
    decays = {"discount": problem.numbers.discount, "gae_decay": problem.numbers.gae_decay}
    return discounted_advantages(reward, value, done, **decays, following=following)


def _counted(advantage: Array, counted: Array | None) -> Array:
    """Advantages with 0 in steps that do not count, from which nobody learns.

    Such steps come before all others of their episode, so no other advantage depends on theirs.
    """
    return advantage if counted is None else advantage * counted[..., None]


def _sweep(
    problem: Problem, critics: Parameters, pairings: Sequence[Pairing], chunk: Chunk, reward: Array, done: Array
) -> tuple[Array, Array, LossAndGradient]:
    """Advantages, values before every step, and the loss ½ A² with its gradient −A ∇V."""
    assert chunk.last is not None, "critics look at whole chunks"
    own, give_back = jax.vjp(lambda c: _critics_of(problem, c, pairings), critics)
    end = _apply(problem, own, pairings, (chunk.last[0][None], chunk.last[1][None]))[0]
    size = _sizes(pairings, reward)

    def of_block(carry: tuple[Array, Array], seen: tuple[Array, Array], reward: Array, done: Array, counts: Any):
        following_advantage, following_value = carry
        value, pull_back = jax.vjp(lambda own: _apply(problem, own, pairings, seen), own)
        both = jnp.concatenate([value, following_value[None]])
        advantage = _counted(_advantages(problem, reward, both, done, following_advantage), counts)
        found = (0.5 * jnp.square(advantage) / size).sum(), pull_back(-advantage / size)[0]
        return (advantage[0], value[0]), found, (advantage, value)

    start = jnp.zeros_like(end), end
    found, (advantage, value) = sweep_back_over_blocks(
        of_block, _blocks(chunk), start, chunk.observations, reward, done, chunk.counted
    )
    error, gradient = found
    return advantage, value, (error, give_back(gradient)[0])


class CriticBatch(NamedTuple):
    """What critics learn from.

    Attributes:
        pairings: of the chunk.
        chunk: what was recorded.
        targets: what is to be predicted on it.
        loss_and_gradient: of the present critics on the whole of it, if known; else it is computed.
    """

    pairings: Sequence[Pairing]
    chunk: Chunk
    targets: Float[Array, "time pairings envs 2"]
    loss_and_gradient: LossAndGradient | None = None


def update_critics(
    problem: Problem, key: Key, state: TrainState, batches: Sequence[CriticBatch], *, after: Any = None
) -> tuple[Parameters, OptimizerState, Float[Array, ""]]:
    """Descend ½ (V − target)², the mean over steps, environments and seats, added over batches.

    One step on everything with the base update ``pg``; with ``ppo`` one step for each of its minibatches. Devices
    exchange gradients ``after`` what is given.

    Returns:
        The critics, their optimiser state, and the loss summed over critics (the mean over the steps taken).
    """

    def one_step(carry: tuple[Parameters, OptimizerState], envs: Int[Array, " some"] | None):
        critics, optimizer = carry
        found = _loss_and_gradient(problem, critics, batches if envs is None else _part_of(batches, envs))
        error, gradient = problem.devices.mean(found, after=after)
        descent = jax.tree.map(jnp.negative, gradient)
        carry = problem.critic_optimizer.ascend(descent, optimizer, critics, problem.numbers.critic_rate)
        return carry, error

    start = (state.critics, state.critic_optimizer)
    if problem.numbers.base_update == "pg":
        (critics, optimizer), error = one_step(start, None)
        return critics, optimizer, error
    (critics, optimizer), errors = jax.lax.scan(one_step, start, minibatches(problem, key))
    return critics, optimizer, errors.mean()


def minibatches(problem: Problem, key: Key) -> Int[Array, "updates envs"]:
    """Which environments each step of PPO learns from: every epoch goes through all of them in a new order."""
    numbers = problem.numbers
    orders = [jax.random.permutation(k, numbers.envs) for k in jax.random.split(key, numbers.ppo_epochs)]
    return jnp.concatenate(orders).reshape(numbers.ppo_epochs * numbers.ppo_minibatches, -1)


def _part_of(batches: Sequence[CriticBatch], envs: Int[Array, " some"]) -> list[CriticBatch]:
    return [
        CriticBatch(pairings, take_envs(chunk, envs), jnp.take(targets, envs, axis=2))
        for pairings, chunk, targets, _ in batches
    ]


def _loss_and_gradient(problem: Problem, critics: Parameters, batches: Sequence[CriticBatch]) -> LossAndGradient:
    """Summed over batches."""
    found = [batch.loss_and_gradient or _of_batch(problem, critics, batch) for batch in batches]
    return jax.tree.map(lambda *parts: sum(parts[1:], parts[0]), *found)


def _of_batch(problem: Problem, critics: Parameters, batch: CriticBatch) -> LossAndGradient:
    own, give_back = jax.vjp(lambda c: _critics_of(problem, c, batch.pairings), critics)
    size = _sizes(batch.pairings, batch.targets)

    def of_block(seen: tuple[Array, Array], target: Array):
        def loss(own: Parameters) -> Array:
            return (0.5 * jnp.square(_apply(problem, own, batch.pairings, seen) - target) / size).sum()

        return jax.value_and_grad(loss)(own)

    error, gradient = sum_over_blocks(of_block, _blocks(batch.chunk), batch.chunk.observations, batch.targets)
    return error, give_back(gradient)[0]


def _sizes(pairings: Sequence[Pairing], targets: Array) -> Float[np.ndarray, "pairings 1 1"]:
    """Over how many numbers each pairing's loss is a mean: repetitions of a pairing are one batch of its critic."""
    repetitions = np.array([pairings.count(pairing) for pairing in pairings])[:, None, None]
    return (targets[:, 0].size * repetitions).astype(targets.dtype)


def _blocks(chunk: Chunk) -> int:
    return number_of_blocks(chunk.first.shape[0], sum(math.prod(seen.shape[1:]) for seen in chunk.observations))


class _Alike(NamedTuple):
    """Pairings that are repeated equally often: each one's critic sees all its repetitions in one matrix product.

    Attributes:
        critics: the places of their critics in ``plan.all_pairings``.
        rows: where their repetitions stand in a chunk, those of a pairing after each other.
    """

    critics: tuple[int, ...]
    rows: tuple[int, ...]


def _alike(problem: Problem, pairings: Sequence[Pairing]) -> list[_Alike]:
    """All pairings of a chunk, those that are repeated least first."""
    everyone = problem.plan.all_pairings
    rows_of = {pairing: [row for row, its in enumerate(pairings) if its == pairing] for pairing in distinct(pairings)}
    groups = []
    for repetitions in sorted({len(rows) for rows in rows_of.values()}):
        its = {pairing: rows for pairing, rows in rows_of.items() if len(rows) == repetitions}
        groups.append(_Alike(tuple(map(everyone.index, its)), tuple(itertools.chain(*its.values()))))
    return groups


def _critics_of(problem: Problem, critics: Parameters, pairings: Sequence[Pairing]) -> list[Parameters]:
    """The critics of pairings that are alike, stacked, as :func:`_apply` takes them."""

    def of_group(its: _Alike) -> Parameters:
        return _fold(problem, jax.tree.map(lambda leaf: take_static(leaf, its.critics, 0), critics))

    return [of_group(its) for its in _alike(problem, pairings)]


def _fold(problem: Problem, own: Parameters) -> Parameters:
    """Stacked critics, unpacked and for the observations of the stage."""
    encodings, layouts = problem.encodings, problem.layouts
    own = own if layouts is None else layouts[CRITICS].unpack(own)
    return own if encodings is None else jax.vmap(lambda critic: fold(critic, *encodings))(own)


def _apply(
    problem: Problem,
    own: Sequence[Parameters],
    pairings: Sequence[Pairing],
    seen: tuple[Shaped[Array, "..."], Shaped[Array, "..."]],
) -> Float[Array, "time pairings envs 2"]:
    """Each pairing's critic on its observations [time, pairings, envs, …]."""
    joint, groups = _joint(problem, problem.stage, seen), _alike(problem, pairings)
    steps, _, envs, *entries = joint.shape
    found = []
    for critics, (chosen, rows) in zip(own, groups, strict=True):
        together = take_static(joint, rows, axis=1).reshape(steps, len(chosen), -1, *entries)
        value = jax.vmap(problem.critic.apply, in_axes=(0, 1), out_axes=1)(critics, together)
        found.append(value.reshape(steps, len(rows), envs, 2))  # type: ignore[union-attr]
    order = np.argsort([row for its in groups for row in its.rows])
    return take_static(jnp.concatenate(found, axis=1), order, axis=1)


def _joint(
    problem: Problem, environment: Environment, seen: tuple[Shaped[Array, "..."], Shaped[Array, "..."]]
) -> Shaped[Array, "..."]:
    """Both seats' observations side by side: along the channels of images, else flat."""
    if problem.critic.takes_images:  # type: ignore[attr-defined]
        return jnp.concatenate(seen, axis=-1)
    flat = [_flat(observation, space) for observation, space in zip(seen, environment.spaces, strict=True)]
    return jnp.concatenate(flat, axis=-1)


def _flat(observation: Array, space: SeatSpace) -> Array:
    return observation.reshape(*observation.shape[: observation.ndim - len(space.observation_shape)], -1)
