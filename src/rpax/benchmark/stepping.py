"""Raw stepping of environments, without learning."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rpax.benchmark.stopwatch import time_call
from rpax.environments.protocol import Environment, Key
from rpax.policies import categorical


class SteppingSpeed(NamedTuple):
    """Environment steps per second with uniform random actions and one observation a step, nothing learned.

    Attributes:
        ours: through the two-seat protocol.
        jaxmarl: JaxMARL's own loop over the same game, ``None`` where it has none.
    """

    ours: float
    jaxmarl: float | None


def stepping_speed(environment: Environment, repetitions: int, envs: int = 512, steps: int = 100) -> SteppingSpeed:
    """Raw stepping of ``envs`` games at once, ours and (for its games) JaxMARL's own in the same run."""
    functions = [functools.partial(_step_ours, environment, envs, steps)]
    game = getattr(environment, "game", None)
    if game is not None:
        functions.append(functools.partial(_step_jaxmarl, game, environment, envs, steps))
    speeds = [envs * steps / time_call(jax.jit(function), (jax.random.key(0),), repetitions) for function in functions]
    return SteppingSpeed(speeds[0], speeds[1] if len(speeds) > 1 else None)


def _step_ours(environment: Environment, envs: int, steps: int, key: Key) -> Any:
    key_reset, key_play = jax.random.split(key)
    state = jax.vmap(environment.reset)(jax.random.split(key_reset, envs))

    def one_step(state: Any, key_step: Key) -> tuple[Any, Any]:
        key_act, key_env = jax.random.split(key_step)
        legal = jax.vmap(environment.legal_actions)(state)
        masks = [None, None] if legal is None else legal
        draw = [
            categorical.sample(k, jnp.zeros((envs, space.num_actions)), mask)
            for k, space, mask in zip(jax.random.split(key_act), environment.spaces, masks, strict=True)
        ]
        keys = jax.random.split(key_env, envs)
        transition, state = environment.step_and_reset_all(keys, state, jnp.stack(draw, axis=-1))
        return state, (transition.rewards.sum(), _digest(jax.vmap(environment.observe)(state)))

    return jax.lax.scan(one_step, state, jax.random.split(key_play, steps))[1]


def _step_jaxmarl(game: Any, environment: Environment, envs: int, steps: int, key: Key) -> Any:
    key_reset, key_play = jax.random.split(key)
    _, state = jax.vmap(game.reset)(jax.random.split(key_reset, envs))

    def one_step(state: Any, key_step: Key) -> tuple[Any, Any]:
        key_act, key_env = jax.random.split(key_step)
        masks = jax.vmap(game.get_legal_moves)(state) if hasattr(game, "get_legal_moves") else {}
        actions = {
            agent: categorical.sample(k, jnp.zeros((envs, space.num_actions)), _as_mask(masks.get(agent)))
            for k, agent, space in zip(jax.random.split(key_act), game.agents, environment.spaces, strict=True)
        }
        seen, state, rewards, _, _ = jax.vmap(game.step)(jax.random.split(key_env, envs), state, actions)
        return state, (rewards[game.agents[0]].sum(), _digest([seen[agent] for agent in game.agents]))

    # One step first: JaxMARL's state after a reset may be typed more weakly than after a step.
    state, _ = one_step(state, key_reset)
    return jax.lax.scan(one_step, state, jax.random.split(key_play, steps))[1]


def _as_mask(legal: Any) -> Any:
    return None if legal is None else legal.astype(bool)


def _digest(observations: Any) -> Any:
    """A number that depends on all that was observed, so that nothing is left out of the compiled program."""
    return sum(jnp.sum(seen.astype(jnp.float32)) for seen in observations)
