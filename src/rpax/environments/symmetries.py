"""Symmetries of a game, and Other-Play: episodes in which seat 1 sees and acts through one of them.

A symmetry φ relabels what seats see and do and leaves the game as it is, like another order of Hanabi's colours. Two
agents that learned apart may have broken it differently, so that one's conventions are a relabelling of the other's.
Self-play in :class:`OtherPlay` maximises E_φ U(π, φ(π)), which no convention that breaks a symmetry can do well.

Source: Hu et al., "'Other-Play' for Zero-Shot Coordination", 2020.
"""

import dataclasses
import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from rpax.environments.protocol import Environment, Key, Rules, State, Transition
from rpax.environments.tabular_game import TabularGame
from rpax.environments.wrapper import WrappedEnvironment


@dataclasses.dataclass(frozen=True, eq=False)
class Symmetries:
    """A group of symmetries, as seat 1 takes part in them; the first is the identity.

    Under symmetry s seat 1 sees ``observation[observations[s]]``, and what it does as action a is ``actions[s, a]``.

    Attributes:
        observations: for each symmetry, which entry of the flat observation stands in each place.
        actions: for each symmetry, what each action is.
    """

    observations: Int[np.ndarray, "symmetries entries"]
    actions: Int[np.ndarray, "symmetries actions"]

    @property
    def count(self) -> int:
        """How many there are, with the identity."""
        return len(self.actions)


class RelabelledState(NamedTuple):
    """A game in progress, and the symmetry through which seat 1 takes part in it.

    Attributes:
        game: the game's own state.
        symmetry: its number.
    """

    game: State
    symmetry: Int[Array, ""]


class OtherPlay(WrappedEnvironment):
    """An environment that draws a symmetry for each episode, through which seat 1 sees and acts.

    Args:
        environment: what is played.
        symmetries: its symmetries.
    """

    def __init__(self, environment: Environment, symmetries: Symmetries) -> None:
        super().__init__(environment)
        self._symmetries = symmetries
        # What is stored of an observation need not be closed under its symmetries.
        self.encodings = None

    @functools.cached_property
    def traced_rules(self) -> Rules:
        """Step and reset around the environment's own."""
        return Rules(jax.jit(self.step, inline=True), jax.jit(self.reset, inline=True))

    def reset(self, key: Key) -> RelabelledState:
        """The state in which an episode starts, with a symmetry drawn uniformly."""
        key_game, key_symmetry = jax.random.split(key)
        return self._with_symmetry(self._environment.traced_rules.reset(key_game), key_symmetry)

    def exploring_reset(self, key: Key) -> RelabelledState:
        """An exploring start, with a symmetry drawn uniformly."""
        key_game, key_symmetry = jax.random.split(key)
        return self._with_symmetry(self._environment.exploring_reset(key_game), key_symmetry)

    def step(self, key: Key, state: RelabelledState, actions: Int[Array, "2"]) -> Transition:
        """The environment's step with what seat 1's action is under the symmetry."""
        meant = jnp.asarray(self._symmetries.actions)[state.symmetry, actions[1]]
        played = jnp.stack([actions[0], meant.astype(actions.dtype)])
        transition = self._environment.traced_rules.step(key, state.game, played)
        return transition._replace(state=RelabelledState(transition.state, state.symmetry))

    def observe(self, state: RelabelledState) -> tuple[Shaped[Array, "..."], Shaped[Array, "..."]]:
        """What seat 0 sees, and what seat 1 sees under the symmetry."""
        first, second = self._environment.observe(state.game)
        entries = jnp.asarray(self._symmetries.observations)[state.symmetry]
        return first, second.reshape(-1)[entries].reshape(second.shape)

    def legal_actions(
        self, state: RelabelledState
    ) -> tuple[Bool[Array, " actions_0"], Bool[Array, " actions_1"]] | None:
        """The actions each seat may take, seat 1's under the symmetry."""
        legal = self._environment.legal_actions(state.game)
        return legal and (legal[0], legal[1][jnp.asarray(self._symmetries.actions)[state.symmetry]])

    def _with_symmetry(self, game: State, key: Key) -> RelabelledState:
        return RelabelledState(game, jax.random.randint(key, (), 0, self._symmetries.count, jnp.int32))


#: With more columns there are too many orders of them to try each.
_MOST_COLUMNS = 7


def payoff_symmetries(payoffs: Float[np.ndarray, "rows columns 2"]) -> Symmetries | None:
    """The symmetries of a normal-form game: every order of columns for which some order of rows restores the payoffs.

    ``None`` where there is none but the identity, or where there are too many columns to try. Each such order of
    columns goes with equally many orders of rows, so drawing from them draws from all pairs.
    """
    columns = payoffs.shape[1]
    if columns > _MOST_COLUMNS:
        return None
    rows = _in_order(payoffs)
    orders = itertools.permutations(range(columns))
    found = np.array([order for order in orders if np.array_equal(_in_order(payoffs[:, list(order)]), rows)])
    return None if len(found) == 1 else Symmetries(np.zeros((len(found), 1), int), found)


def _in_order(payoffs: Float[np.ndarray, "rows columns 2"]) -> Float[np.ndarray, "rows entries"]:
    """The rows, each as one list of numbers, sorted."""
    rows = payoffs.reshape(len(payoffs), -1)
    return rows[np.lexsort(rows.T)]


def averaged_over(game: TabularGame, symmetries: Symmetries) -> TabularGame:
    """The normal-form game in which U(π_0, π_1) is E_φ U(π_0, φ(π_1)) of ``game``, as U is linear in the payoffs."""
    payoffs = game.payoffs[:, :, symmetries.actions].mean(axis=2)
    return TabularGame(game.name, game.next_state, payoffs)
