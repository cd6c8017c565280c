"""Rollouts: all pairings at once, each agent's part of them in one network call."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from rpax.environments.protocol import Environment, Key, Keys
from rpax.objectives.plan import Pairing
from rpax.policies import categorical
from rpax.policies.agent import AgentPolicy, Parameters
from rpax.slices import take_static
from rpax.training.mixed_play import draw_mixing, mix_actions, next_mixed_steps
from rpax.training.placement import ONE_DEVICE, Devices
from rpax.training.problem import Problem, Streams
from rpax.training.slots import Slot, take_slots


class Chunk(NamedTuple):
    """What was recorded; time first, then pairings and environments.

    Attributes:
        observations: of seat 0 and seat 1, in the type in which the environment stores them.
        last: what both seats see after the chunk, [pairings, envs, …].
        legal: legal actions of both seats, or ``None``.
        actions: of both seats.
        rewards: raw reward of each seat.
        shaped: shaped reward of each seat.
        first: whether the step starts an episode.
        done: whether the episode ended with the step.
        episode_returns: where ``done``, the raw return of the episode that ended, a seat; 0 elsewhere.
        memory: what both seats carried when the chunk began, [pairings, envs, units], or ``None``.
        first_layers: what the first layer of each seat's network gave, if :mod:`that is kept
            <rpax.training.first_layers>`.
        counted: whether the step is one to learn from, ``None`` where all are: the beginnings of mixed-play are not.
    """

    observations: tuple[Shaped[Array, "time pairings envs ..."], Shaped[Array, "time pairings envs ..."]]
    last: tuple[Shaped[Array, "pairings envs ..."], Shaped[Array, "pairings envs ..."]] | None
    legal: tuple[Bool[Array, "time pairings envs _"], Bool[Array, "time pairings envs _"]] | None
    actions: Int[Array, "time pairings envs 2"]
    rewards: Float[Array, "time pairings envs 2"]
    shaped: Float[Array, "time pairings envs 2"]
    first: Bool[Array, "time pairings envs"]
    done: Bool[Array, "time pairings envs"]
    episode_returns: Float[Array, "time pairings envs 2"]
    memory: tuple[Float[Array, "pairings envs units"], Float[Array, "pairings envs units"]] | None = None
    first_layers: tuple[Float[Array, "time pairings envs _"], Float[Array, "time pairings envs _"]] | None = None
    counted: Bool[Array, "time pairings envs"] | None = None


@dataclasses.dataclass(frozen=True)
class SlotGroup:
    """The slots that one head of one agent plays."""

    agent: str
    head: str
    slots: tuple[Slot, ...]


def group_slots(pairings: Sequence[Pairing], policies: Mapping[str, AgentPolicy]) -> tuple[SlotGroup, ...]:
    """Who plays where, in a fixed order: one network call per group."""
    groups: dict[tuple[str, str], list[Slot]] = {}
    for seat in (0, 1):
        for number, pairing in enumerate(pairings):
            head = policies[pairing[seat]].head_of_seat[seat]
            groups.setdefault((pairing[seat], head), []).append((seat, number))
    return tuple(SlotGroup(agent, head, tuple(slots)) for (agent, head), slots in groups.items())


def start_streams(environment: Environment, key: Key, pairings: int, envs: int, memory_units: int = 0) -> Streams:
    """Fresh environments for ``pairings`` × ``envs``, and empty memories for agents that have one."""
    state = _of_games(environment.traced_rules.reset, draw_keys(key, (pairings, envs)))
    empty = jnp.zeros((pairings, envs, memory_units))
    memory = (empty, empty) if memory_units else None
    return Streams(state, jnp.ones((pairings, envs), bool), jnp.zeros((pairings, envs, 2)), memory)


def roll_out(
    environment: Environment,
    policies: Mapping[str, AgentPolicy],
    parameters: Mapping[str, Parameters],
    pairings: Sequence[Pairing],
    key: Key,
    streams: Streams,
    steps: int,
    devices: Devices = ONE_DEVICE,
    *,
    keep_first_layers: bool = False,
) -> tuple[Chunk, Streams]:
    """Play ``steps`` steps of every pairing, going on where ``streams`` stand; episodes restart by themselves.

    Each device plays its own part of the environments.
    """
    parameters, groups = fold_all(policies, parameters), group_slots(pairings, policies)
    kept = {"keep_first_layers": keep_first_layers, "pairings": tuple(pairings)}
    play = functools.partial(play_step, environment, policies, parameters, groups, **kept)
    memory, (paired, envs) = streams.memory, streams.first.shape
    everywhere = draw_chance(key, (steps, paired, envs * devices.count))
    chance = jax.tree.map(functools.partial(devices.part, axis=2), everywhere)
    streams, chunk = jax.lax.scan(play, streams, chance)
    return chunk._replace(last=_observe(environment, streams), memory=memory), streams


def roll_out_training(
    problem: Problem, parameters: Mapping[str, Parameters], pairings: Sequence[Pairing], key: Key, streams: Streams
) -> tuple[Chunk, Streams]:
    """:func:`roll_out` of a chunk to learn from; ``parameters`` are those of the state's agents."""
    return roll_out(
        problem.training_stage,
        problem.players,
        {**parameters, **problem.fixed},
        pairings,
        key,
        streams,
        problem.numbers.steps,
        problem.devices,
        keep_first_layers=problem.keep_first_layers,
    )


class Chance(NamedTuple):
    """The random numbers of one step, or of many with the time first.

    Every device draws those of all, so that results do not depend on how many devices there are.
    Drawn for all steps at once, as in a loop it would cost every step a few small operations.

    Attributes:
        uniform: multiples of 2⁻²³ from [0, 1), for the action of each seat.
        keys: of the environments.
    """

    uniform: Float[Array, "*time pairings envs 2"]
    keys: Keys


def draw_chance(key: Key, shape: tuple[int, ...]) -> Chance:
    """The chance of steps with the shape ``(…, pairings, envs)``."""
    # One draw of bits for all, and flat: each draw takes compilation a fifth of a second, more axes three times that.
    bits = jax.random.bits(key, (math.prod(shape) * (2 + len(key)),), jnp.uint32)
    actions, keys = jnp.split(bits, [2 * math.prod(shape)])
    uniform = (actions >> 9).astype(jnp.result_type(float)) * 2.0**-23
    return Chance(uniform.reshape(*shape, 2), keys.reshape(*shape, len(key)))


def draw_keys(key: Key, shape: tuple[int, ...]) -> Keys:
    """Keys of the given shape."""
    keys = jax.random.split(key, math.prod(shape))
    return keys.reshape(*shape, *keys.shape[1:])


def fold_all(policies: Mapping[str, AgentPolicy], parameters: Mapping[str, Parameters]) -> dict[str, Parameters]:
    """Everyone's parameters for what the policies are shown."""
    return {name: policies[name].fold(of_agent) for name, of_agent in parameters.items()}


def _observe(environment: Environment, streams: Streams) -> tuple[Array, Array]:
    seen = _of_games(environment.observe, streams.state)
    stored = [s.astype(space.observation_dtype) for s, space in zip(seen, environment.spaces, strict=True)]
    return stored[0], stored[1]


def _of_games(function: Callable[..., Any], *arguments: Any) -> Any:
    """``function`` of one game, of all [pairings, envs] games."""
    return _at_once(jax.vmap(function), *arguments)


def _at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    """``function`` of many games, of all [pairings, envs] games: one axis compiles much faster than two."""
    shape = jax.tree.leaves(arguments)[0].shape[:2]
    found = function(*jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), arguments))
    return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), found)


def play_step(
    environment: Environment,
    policies: Mapping[str, AgentPolicy],
    parameters: Mapping[str, Parameters],
    groups: tuple[SlotGroup, ...],
    streams: Streams,
    chance: Chance,
    *,
    keep_first_layers: bool = False,
    greedy: bool = False,
    pairings: tuple[Pairing, ...] = (),
) -> tuple[Streams, Chunk]:
    """One step of every pairing in every environment, with :func:`folded <fold_all>` parameters.

    Actions are drawn, or with ``greedy`` the most likely ones. ``pairings`` are needed where some are mixed-play.
    """
    observations = _observe(environment, streams)
    legal = _of_games(environment.legal_actions, streams.state)
    seen = [take_slots(observations, group.slots, axis=0) for group in groups]
    given: list[Any] = [
        policies[group.agent].first_layer(parameters[group.agent], group.head, its) if keep_first_layers else None
        for group, its in zip(groups, seen, strict=True)
    ]
    logits, memory = _logits(policies, parameters, groups, seen, given, legal, streams)
    actions = _most_likely(logits, legal) if greedy else _draw(chance.uniform, logits, legal)
    mixing, drawn = streams.mixing, None
    if mixing is not None:
        drawn = draw_mixing(chance.keys)
        actions = mix_actions(policies, parameters, pairings, observations, legal, drawn, mixing, actions)
    transition, state = _at_once(environment.step_and_reset_all, chance.keys, streams.state, actions)
    dtype = streams.episode_return.dtype
    rewards = transition.rewards.astype(dtype)
    total = streams.episode_return + rewards
    done = transition.done
    shaped = jnp.asarray(transition.shaped, dtype)
    ended = jnp.where(done[..., None], total, 0.0)
    first_layers = _of_seats(given, groups) if keep_first_layers else None
    recorded = Chunk(
        observations, None, legal, actions, rewards, shaped, streams.first, done, ended, first_layers=first_layers
    )
    following = Streams(state, done, jnp.where(done[..., None], 0.0, total), memory)
    if mixing is None or drawn is None:
        return following, recorded
    left = next_mixed_steps(pairings, drawn, mixing, done, environment.horizon)
    return following._replace(mixing=left), recorded._replace(counted=mixing == 0)


def _logits(
    policies, parameters, groups, seen, given, legal, streams
) -> tuple[tuple[Array, Array], tuple[Array, Array] | None]:
    """Both seats' logits and what agents carry on, one network call a group, put back in the order of slots."""
    logits, carried = [], []
    for group, its, first_layer in zip(groups, seen, given, strict=True):
        memory = None if streams.memory is None else take_slots(streams.memory, group.slots, axis=0)
        first = take_slots((streams.first, streams.first), group.slots, axis=0)
        allowed = None if legal is None else take_slots(legal, group.slots, axis=0)
        policy, own = policies[group.agent], parameters[group.agent]
        of_group, memory = policy.act(own, group.head, its, first, memory, first_layer, allowed)
        logits.append(of_group)
        carried.append(memory)
    return _of_seats(logits, groups), None if streams.memory is None else _of_seats(carried, groups)


def _of_seats(of_groups: Sequence[Array], groups: Sequence[SlotGroup]) -> tuple[Array, Array]:
    """What groups found for their slots, [slots, envs, …] each, by seat: [pairings, envs, …]."""
    found = []
    for seat in (0, 1):
        places = [[i for i, slot in enumerate(group.slots) if slot[0] == seat] for group in groups]
        pairings = [slot[1] for group in groups for slot in group.slots if slot[0] == seat]
        parts = [take_static(part, its, axis=0) for part, its in zip(of_groups, places, strict=True) if its]
        found.append(take_static(jnp.concatenate(parts), np.argsort(pairings).tolist(), axis=0))
    return found[0], found[1]


def _draw(
    uniform: Float[Array, "pairings envs 2"],
    logits: tuple[Float[Array, "pairings envs _"], Float[Array, "pairings envs _"]],
    legal: tuple[Bool[Array, "pairings envs _"], Bool[Array, "pairings envs _"]] | None,
) -> Int[Array, "pairings envs 2"]:
    """Both seats' actions, drawn together where they choose among equally many."""
    if logits[0].shape == logits[1].shape:
        together = None if legal is None else jnp.stack(legal, axis=2)
        return categorical.invert(uniform, jnp.stack(logits, axis=2), together)
    masks = (None, None) if legal is None else legal
    drawn = [categorical.invert(uniform[..., seat], logits[seat], masks[seat]) for seat in (0, 1)]
    return jnp.stack(drawn, axis=-1)


def _most_likely(
    logits: tuple[Float[Array, "pairings envs _"], Float[Array, "pairings envs _"]],
    legal: tuple[Bool[Array, "pairings envs _"], Bool[Array, "pairings envs _"]] | None,
) -> Int[Array, "pairings envs 2"]:
    """Both seats' most likely actions."""
    masks = (None, None) if legal is None else legal
    return jnp.stack([categorical.most_likely(logits[seat], masks[seat]) for seat in (0, 1)], axis=-1)
