"""Starts that play can reach, for games that have no exploring starts of their own.

Many games are played once by uniformly random legal actions, and of each one state is kept, every one that the game
went through being as likely. Episodes with an exploring start begin in one of these. The state's own clock goes on from
there, so what remains of the horizon is what remains at that depth, and no episode outlasts it.

Source of the idea: Gessler et al., "OvercookedV2: Rethinking Overcooked for Zero-Shot Coordination", 2025, who begin
training episodes in states that differently trained partners come to.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rpax.environments.protocol import Environment, Key, Keys, State
from rpax.environments.wrapper import WrappedEnvironment

#: How many states there are to begin in, and to which depth games are played for them.
STARTS, _DEEPEST = 2048, 1000


class ReachableStarts(WrappedEnvironment):
    """An environment whose exploring starts are states that random play came to.

    Args:
        environment: what is played.
        starts: how many states there are to begin in; they are the same for every seed.
    """

    def __init__(self, environment: Environment, starts: int = STARTS) -> None:
        super().__init__(environment)
        self._count = starts
        keys = jax.random.split(jax.random.key(0), starts)
        self._starts = jax.jit(jax.vmap(functools.partial(reached_state, environment)))(keys)

    @property
    def has_exploring_starts(self) -> bool:
        """Always."""
        return True

    def exploring_reset(self, key: Key) -> State:
        """One of the states."""
        number = jax.random.randint(key, (), 0, self._count)
        return jax.tree.map(lambda leaf: leaf[number], self._starts)


class _Game(NamedTuple):
    """A game that is played at random.

    Attributes:
        state: where it is.
        kept: the state that would be kept if it ended here.
        over: whether it has ended.
    """

    state: State
    kept: State
    over: Bool[Array, ""]


def reached_state(environment: Environment, key: Key) -> State:
    """A state of a game of uniformly random legal play: each that is not an end is kept with equal probability.

    After t steps the present state takes the place of the one kept with probability 1 / (t + 1).
    """
    key_start, key_play = jax.random.split(key)
    start = environment.traced_rules.reset(key_start)
    depth = min(environment.horizon, _DEEPEST)

    def one_step(game: _Game, at: tuple[Int[Array, ""], Keys]) -> tuple[_Game, None]:
        time, key_step = at
        key_keep, key_act, key_move = jax.random.split(key_step, 3)
        keep = ~game.over & (jax.random.uniform(key_keep) * (time + 1) < 1)
        kept = jax.tree.map(functools.partial(jnp.where, keep), game.state, game.kept)
        actions = random_actions(environment, key_act, game.state)
        transition = environment.traced_rules.step(key_move, game.state, actions)
        return _Game(transition.state, kept, game.over | transition.done), None

    game = _Game(start, start, jnp.zeros((), bool))
    return jax.lax.scan(one_step, game, (jnp.arange(depth), jax.random.split(key_play, depth)))[0].kept


def random_actions(environment: Environment, key: Key, state: State) -> Int[Array, "2"]:
    """A uniformly drawn legal action of each seat."""
    legal = environment.legal_actions(state)
    masks = [jnp.ones(space.num_actions, bool) for space in environment.spaces] if legal is None else legal
    keys = jax.random.split(key)
    logits = [jnp.where(mask, 0.0, -jnp.inf) for mask in masks]
    return jnp.stack([jax.random.categorical(k, its) for k, its in zip(keys, logits, strict=True)])
