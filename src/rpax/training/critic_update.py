"""Critics: one for each ordered pairing, on the joint observation, with a value for each seat."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rpax.environments.protocol import Key
from rpax.estimators.advantages import discounted_advantages
from rpax.objectives.plan import Pairing
from rpax.policies.agent import Parameters
from rpax.training.problem import Problem, TrainState
from rpax.training.rollout import Chunk


def init_critics(problem: Problem, key: Key) -> Parameters:
    """Fresh critics, stacked over ``plan.all_pairings``."""
    features = sum(int(np.prod(space.observation_shape)) for space in problem.environment.spaces)
    observation = jnp.zeros(features, jnp.result_type(float))
    keys = jax.random.split(key, len(problem.plan.all_pairings))
    # Not vmapped: see Trainer._initial_states.
    return jax.lax.map(lambda key_critic: problem.critic.init(key_critic, observation), keys)


def values(
    problem: Problem, critics: Parameters, pairings: Sequence[Pairing], chunk: Chunk
) -> Float[Array, "time_plus_1 pairings envs 2"]:
    """V of both seats before every step of the chunk and after the last one."""
    everyone = problem.plan.all_pairings
    chosen = np.array([everyone.index(pairing) for pairing in pairings])
    own = jax.tree.map(lambda leaf: leaf[chosen], critics)
    flat = [observation.reshape(*observation.shape[:3], -1) for observation in chunk.observations]
    joint = jnp.concatenate(flat, axis=-1)
    return jax.vmap(problem.critic.apply, in_axes=(0, 1), out_axes=1)(own, joint)  # type: ignore[return-value]


def advantages(
    problem: Problem, critics: Parameters, pairings: Sequence[Pairing], chunk: Chunk
) -> tuple[Float[Array, "time pairings envs 2"], Float[Array, "time pairings envs 2"]]:
    """GAE of each seat from raw plus shaped reward, and the critics' targets A + V. Both are constants."""
    numbers = problem.numbers
    value = jax.lax.stop_gradient(values(problem, critics, pairings, chunk))
    reward = chunk.rewards + numbers.shaping * chunk.shaped
    done = jnp.broadcast_to(chunk.done[..., None], reward.shape)
    advantage = discounted_advantages(reward, value, done, discount=numbers.discount, gae_decay=numbers.gae_decay)
    return advantage, advantage + value[:-1]


def update_critics(
    problem: Problem,
    state: TrainState,
    batches: Sequence[tuple[Sequence[Pairing], Chunk, Float[Array, "... 2"]]],
) -> tuple[Parameters, Parameters, Float[Array, ""]]:
    """One gradient step on ½ (V − target)², the mean over steps, environments and seats, added over batches.

    Args:
        problem: what the run is about.
        state: holds the critics and their optimiser state.
        batches: the pairings of a chunk, the chunk, and its targets.

    Returns:
        The critics, their optimiser state, and the loss summed over critics.
    """

    def loss(critics: Parameters) -> Array:
        terms = [
            0.5 * jnp.square(values(problem, critics, pairings, chunk)[:-1] - targets).mean(axis=(0, 2, 3)).sum()
            for pairings, chunk, targets in batches
        ]
        return jnp.sum(jnp.stack(terms))

    error, gradient = jax.value_and_grad(loss)(state.critics)
    descent = jax.tree.map(jnp.negative, gradient)
    critics, optimizer = problem.critic_optimizer.ascend(
        descent, state.critic_optimizer, state.critics, problem.numbers.critic_rate
    )
    return critics, optimizer, error
