"""Games small enough to write down: a table of joint moves for each state.

Normal-form games have one state; the extensive-form games have a few. The table is at once the environment that
sampled training plays and the model from which exact returns, exact gradients and rationality gaps are computed.
"""

from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from rpax.environments.protocol import Environment, Key, SeatSpace, Transition
from rpax.errors import InputError, shown

if TYPE_CHECKING:
    from rpax.environments.symmetries import Symmetries

#: ``next_state`` of a move that ends the episode.
END = -1


class TabularState(NamedTuple):
    """The number of the state the game is in."""

    number: Int[Array, ""]


class TabularGame(Environment):
    """A game given by its table; both seats see the state's number, one-hot. Episodes start in state 0.

    Args:
        name: how the game is called.
        next_state: int [S, n, m], the state after each joint action, or ``END``.
        payoffs: float [S, n, m, 2], what the joint action pays to seat 0 and seat 1.
        action_names: the names of seat 0's n actions and of seat 1's m actions.

    Raises:
        InputError: tables of wrong shape, payoffs that are not finite, or a game that can go on forever.
    """

    one_policy_for_both_seats = False

    def __init__(
        self,
        name: str,
        next_state: np.ndarray,
        payoffs: np.ndarray,
        action_names: tuple[tuple[str, ...], tuple[str, ...]] | None = None,
    ) -> None:
        moves = _numbers(name, "next_state", next_state)
        payoffs = _numbers(name, "payoffs", payoffs)
        if (moves != np.floor(moves)).any():
            fraction = moves[moves != np.floor(moves)][0]
            raise InputError(f"game '{name}': next_state {fraction} is no whole number; name states by number")
        next_state = moves.astype(np.int32)
        if next_state.ndim != 3 or next_state.size == 0 or payoffs.shape != (*next_state.shape, 2):
            raise InputError(
                f"game '{name}': next_state {next_state.shape} must be [S, n, m], payoffs {payoffs.shape} [S, n, m, 2]"
            )
        if not np.isfinite(payoffs).all():
            raise InputError(f"game '{name}': payoff {payoffs[~np.isfinite(payoffs)][0]} is not finite; give numbers")
        if next_state.min() < END or next_state.max() >= len(next_state):
            raise InputError(
                f"game '{name}': next_state must lie in {END} … {len(next_state) - 1}; {END} ends the episode"
            )
        self.name = name
        self.next_state = next_state
        self.payoffs = payoffs
        self.horizon = _longest_episode(name, next_state)
        for seat, names in enumerate(action_names or ()):
            count = next_state.shape[1 + seat]
            if len(names) != count:
                raise InputError(
                    f"game '{name}': seat {seat} has {count} actions, not {len(names)}; give one name an action"
                )
        names = action_names or (None, None)
        states, *counts = next_state.shape
        self.spaces = (
            SeatSpace((states,), counts[0], jnp.float32, names[0]),
            SeatSpace((states,), counts[1], jnp.float32, names[1]),
        )

    @property
    def num_states(self) -> int:
        """How many states the game has (1 for a normal-form game)."""
        return len(self.next_state)

    @property
    def is_normal_form(self) -> bool:
        """Whether the game is one simultaneous move."""
        return self.num_states == 1

    def payoff_matrix(self, seat: int) -> np.ndarray:
        """The payoffs of ``seat`` in a normal-form game, its own actions × the other's."""
        if not self.is_normal_form:
            raise InputError(f"game '{self.name}' has {self.num_states} states and so no single payoff matrix")
        matrix = self.payoffs[0, :, :, seat]
        return matrix if seat == 0 else matrix.T

    def all_observations(self) -> Array:
        """The observation of every state: [S, S], the same for both seats."""
        return jnp.eye(self.num_states)

    def reset(self, key: Key) -> TabularState:
        """Episodes start in state 0."""
        return TabularState(jnp.zeros((), jnp.int32))

    def step(self, key: Key, state: TabularState, actions: Int[Array, "2"]) -> Transition:
        """Look the joint action up in the table."""
        where = (state.number, actions[0], actions[1])
        following = jnp.asarray(self.next_state)[where]
        done = following == END
        return Transition(TabularState(jnp.where(done, 0, following)), jnp.asarray(self.payoffs)[where], done)

    def observe(self, state: TabularState) -> tuple[Array, Array]:
        """Both seats see the state, one-hot."""
        one_hot = (jnp.arange(self.num_states) == state.number).astype(jnp.float32)
        return one_hot, one_hot

    def symmetries(self) -> "Symmetries | None":
        """Those of a normal-form game's payoffs; of longer games none are looked for."""
        from rpax.environments.symmetries import payoff_symmetries

        return payoff_symmetries(self.payoffs[0]) if self.is_normal_form else None

    def render(self, state: TabularState) -> np.ndarray:
        """The payoff table of the current state; see :func:`rpax.reports.payoff_table.draw_payoff_table`."""
        from rpax.reports.payoff_table import draw_payoff_table

        return draw_payoff_table(self, int(state.number))


def _numbers(name: str, what: str, values: object) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"game '{name}': {what} {shown(values)} is no table of numbers; give nested lists or an array"
        ) from None


def _longest_episode(name: str, next_state: np.ndarray) -> int:
    """The number of moves in the longest episode from state 0; games that can go on forever are refused."""
    reached = _reachable(next_state)
    lengths = np.where(reached, 1, 0)
    # Longest paths without a cycle are settled after as many rounds as there are states.
    for _ in range(len(next_state)):
        following = np.where(next_state == END, 0, lengths[next_state]).max(axis=(1, 2))
        longer = np.where(reached, 1 + following, 0)
        if np.array_equal(longer, lengths):
            return int(lengths[0])
        lengths = longer
    state = int(lengths.argmax())
    raise InputError(f"game '{name}': from state {state} play can go on forever; games must end, so break the cycle")


def _reachable(next_state: np.ndarray) -> np.ndarray:
    """Which states can be reached from state 0."""
    reached = np.arange(len(next_state)) == 0
    while True:
        following = next_state[reached]
        wider = reached.copy()
        wider[following[following != END]] = True
        if np.array_equal(wider, reached):
            return reached
        reached = wider
