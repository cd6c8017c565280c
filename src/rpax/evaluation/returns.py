"""Returns by playing: fresh episodes of every pairing, where they cannot be computed."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rpax.environments.protocol import Key
from rpax.policies.agent import Parameters
from rpax.policies.external import asking
from rpax.training.problem import Problem, Streams
from rpax.training.rollout import draw_chance, fold_all, group_slots, play_step, start_streams

_MOST_ENVS = 256


class SampledReturns(NamedTuple):
    """Raw, undiscounted returns of fresh episodes.

    Attributes:
        mean: [pairings, 2].
        half_width: half the width of the 95 % confidence interval of the mean (normal approximation), [pairings, 2].
        episodes: how many episodes of each pairing were played.
    """

    mean: np.ndarray
    half_width: np.ndarray
    episodes: int


#: From everyone's parameters and a key to the returns of fresh episodes.
Sampler = Callable[[Mapping[str, Parameters], Key], SampledReturns]


def make_sampler(problem: Problem, episodes: int) -> Sampler:
    """Plays at least ``episodes`` fresh episodes of every pairing, whatever their length (no bias to short ones).

    Compiled once, for any parameters of the problem's agents. An episode that outlasts the horizon is cut there.
    """
    envs = min(_MOST_ENVS, episodes)
    play = jax.jit(functools.partial(_first_episodes, problem, envs=envs))

    def sample(parameters: Mapping[str, Parameters], key: Key) -> SampledReturns:
        keys = jax.random.split(key, math.ceil(episodes / envs))
        everyone = {**parameters, **problem.fixed}
        with asking():
            returns = np.concatenate([np.asarray(play(everyone, k), np.float64) for k in keys], axis=1)
        spread = returns.std(axis=1, ddof=1) if returns.shape[1] > 1 else np.full((len(returns), 2), np.nan)
        return SampledReturns(returns.mean(axis=1), 1.96 * spread / math.sqrt(returns.shape[1]), returns.shape[1])

    return sample


def _first_episodes(
    problem: Problem, parameters: Mapping[str, Parameters], key: Key, *, envs: int
) -> Float[Array, "pairings envs 2"]:
    """The return of the first episode of each environment, as far as the horizon. Nothing else is kept."""
    key_start, key_play = jax.random.split(key)
    pairings = problem.plan.reported_pairings
    streams = start_streams(problem.stage, key_start, len(pairings), envs, problem.memory_units)
    groups = group_slots(pairings, problem.players)
    parameters = fold_all(problem.players, parameters)
    play = functools.partial(play_step, problem.stage, problem.players, parameters, groups)

    def one_step(carry: tuple[Streams, Array, Array], key_step: Key) -> tuple[tuple[Streams, Array, Array], None]:
        streams, returns, over = carry
        streams, step = play(streams, draw_chance(key_step, streams.first.shape))
        returns = jnp.where((step.done & ~over)[..., None], step.episode_returns, returns)
        return (streams, returns, over | step.done), None

    start = (streams, jnp.zeros_like(streams.episode_return), jnp.zeros_like(streams.first))
    keys = jax.random.split(key_play, problem.environment.horizon)
    streams, returns, over = jax.lax.scan(one_step, start, keys)[0]
    return jnp.where(over[..., None], returns, streams.episode_return)
