"""Returns by playing: fresh episodes of every pairing, where they cannot be computed."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rpax.environments.protocol import Environment, Key
from rpax.objectives.plan import Pairing
from rpax.policies.agent import AgentPolicy, Parameters
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
    play = make_player(problem.stage, problem.players, problem.plan.reported_pairings, episodes)

    def sample(parameters: Mapping[str, Parameters], key: Key) -> SampledReturns:
        returns = play({**parameters, **problem.fixed}, key)
        spread = returns.std(axis=1, ddof=1) if returns.shape[1] > 1 else np.full((len(returns), 2), np.nan)
        return SampledReturns(returns.mean(axis=1), 1.96 * spread / math.sqrt(returns.shape[1]), returns.shape[1])

    return sample


def make_player(
    stage: Environment, players: Mapping[str, AgentPolicy], pairings: Sequence[Pairing], episodes: int
) -> Callable[[Mapping[str, Parameters], Key], Float[np.ndarray, "pairings episodes 2"]]:
    """From everyone's parameters and a key to the returns of at least ``episodes`` fresh episodes of every pairing.

    Args:
        stage: what is played on.
        players: the agents' networks on the stage; their parameters are folded here.
        pairings: who plays with whom.
        episodes: at least so many.
    """
    envs = min(_MOST_ENVS, episodes)
    compiled = jax.jit(functools.partial(first_episodes, stage, players, pairings=pairings, envs=envs))

    def play(parameters: Mapping[str, Parameters], key: Key) -> Float[np.ndarray, "pairings episodes 2"]:
        keys = jax.random.split(key, math.ceil(episodes / envs))
        with asking():
            return np.concatenate([np.asarray(compiled(parameters, k), np.float64) for k in keys], axis=1)

    return play


def first_episodes(
    stage: Environment,
    players: Mapping[str, AgentPolicy],
    parameters: Mapping[str, Parameters],
    key: Key,
    *,
    pairings: Sequence[Pairing],
    envs: int,
    greedy: bool = False,
) -> Float[Array, "pairings envs 2"]:
    """The return of the first episode of each environment, as far as the horizon. Nothing else is kept.

    Args:
        stage: what is played on.
        players: everybody's networks on the stage.
        parameters: everybody's, not folded.
        key: of all chance.
        pairings: who plays with whom.
        envs: episodes of each pairing.
        greedy: agents take their most likely action instead of drawing one.
    """
    key_start, key_play = jax.random.split(key)
    memory_units = max(players[name].memory_units for pairing in pairings for name in pairing)
    streams = start_streams(stage, key_start, len(pairings), envs, memory_units)
    groups, parameters = group_slots(pairings, players), fold_all(players, parameters)
    play = functools.partial(play_step, stage, players, parameters, groups, greedy=greedy)

    def one_step(carry: tuple[Streams, Array, Array], key_step: Key) -> tuple[tuple[Streams, Array, Array], None]:
        streams, returns, over = carry
        streams, step = play(streams, draw_chance(key_step, streams.first.shape))
        returns = jnp.where((step.done & ~over)[..., None], step.episode_returns, returns)
        return (streams, returns, over | step.done), None

    start = (streams, jnp.zeros_like(streams.episode_return), jnp.zeros_like(streams.first))
    keys = jax.random.split(key_play, stage.horizon)
    streams, returns, over = jax.lax.scan(one_step, start, keys)[0]
    return jnp.where(over[..., None], returns, streams.episode_return)
