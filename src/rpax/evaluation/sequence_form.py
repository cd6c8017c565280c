"""The rationality gap in a small extensive-form game: the linear program of :mod:`rpax.evaluation.rationality`, in
sequence form.

A seat remembers the states it has seen and its own actions. Its *information sets* are these memories; a *sequence* is
an information set with the action taken there; a *realisation plan* says how much the seat's own actions let each
sequence happen. Utility is bilinear in the two plans, so the gap is a linear program whose size is that of the game's
tree, not of its list of strategies (Koller, Megiddo and von Stengel 1996).
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rpax.environments.protocol import SeatSpace
from rpax.environments.tabular_game import END, TabularGame
from rpax.errors import InputError, shown
from rpax.evaluation.rationality import TOLERANCE, check_distribution, check_numbers, solve_program

#: The most joint histories a game may have: its linear program has so many blocks of payoffs.
HISTORIES_MOST = 20_000
#: Realisation weights below this are the solver's rounding.
_ROUNDING = 1e-12


class InformationSet(NamedTuple):
    """What a seat knows when it moves.

    Attributes:
        history: (state, own action) of every step before.
        state: the state the game is in now.
    """

    history: tuple[tuple[int, int], ...]
    state: int

    def describe(self, space: SeatSpace | None = None) -> str:
        """In words, like ``0:C → 1``; with a seat's ``space``, actions are called by their names."""
        steps = [f"{state}:{space.name_of(action) if space else action}" for state, action in self.history]
        return " → ".join([*steps, str(self.state)])

    def __str__(self) -> str:
        return self.describe()


#: Action probabilities for each information set that the strategy's own actions can reach. Seats differ in actions.
Strategy = Mapping[InformationSet, Float[np.ndarray, " _actions"]]


@dataclasses.dataclass(frozen=True, eq=False)
class GameRationality:
    """The rationality gap of a policy in a tabular game; the fields mean what they do in ``Rationality``.

    Attributes:
        gap: what the policy loses against ``co_policy`` to its best response, per episode.
        lower_bound: what the solver's own strategy gains on the policy at least, whatever the co-player does.
        co_policy: the witness, a strategy with memory of the other seat.
        dominating_policy: a strategy with memory that does better than the policy by the gap or more, against every
            strategy of the other seat; ``None`` where the policy is rational.
    """

    gap: float
    lower_bound: float
    co_policy: Strategy
    dominating_policy: Strategy | None

    @property
    def rational(self) -> bool:
        """Whether the gap is 0 within the tolerance it was computed with."""
        return self.dominating_policy is None


def game_rationality(game: TabularGame, seat: int, policy: object, *, tolerance: float = TOLERANCE) -> GameRationality:
    """The rationality gap of a memoryless policy of ``seat`` in ``game``.

    With x the policy's realisation plan, A the payoffs of ``seat`` (own × co-player's sequences) and E x = e, F y = f
    what makes x and y plans::

        gap(x) = min over y, v of  eᵀv − xᵀA y   s.t.  Eᵀv ≥ A y,  F y = f,  y ≥ 0

    as eᵀv at its least is the value of the best response to y. The multipliers of the first constraint are the plan
    that dominates x. In a game with one state this is :func:`rpax.evaluation.rationality.rationality`.

    Args:
        game: a game given by its table; both seats see the state, neither sees the other's action.
        seat: 0 or 1, whose policy and whose payoffs.
        policy: [S, own actions] probabilities; small rounding is taken out.
        tolerance: the gap that counts as 0, as a fraction of the most that payoffs can differ over an episode.

    Raises:
        InputError: no tabular game, a seat other than 0 and 1, a policy of another shape or whose rows are no
            probability vectors, or a game of more than ``HISTORIES_MOST`` joint histories.
    """
    _check_game_and_seat(game, seat)
    own, co, payoffs = _sequence_form(game, seat)
    plan = own.plan_of(_check_policy(game, seat, policy))
    witness, better = _solve(own, co, payoffs, plan)
    co_plan, co_policy = co.strategy_of(witness)
    better_plan, dominating = own.strategy_of(better)
    returns = payoffs @ co_plan
    gap = own.best_value(returns) - float(plan @ returns)
    lower_bound = -co.best_value((plan - better_plan) @ payoffs)
    scale = 2 * float(abs(payoffs).max()) * game.horizon
    rational = gap <= tolerance * scale
    return GameRationality(max(0.0, gap), max(0.0, lower_bound), co_policy, None if rational else dominating)


@dataclasses.dataclass(frozen=True, eq=False)
class _Sequences:
    """One seat's information sets and sequences: set i offers the sequences i·n … i·n + n − 1. Parents come first.

    Attributes:
        state: [sets], the state in which the seat moves.
        parent: [sets], the sequence that led there; −1 for the first set.
        num_actions: n.
    """

    state: np.ndarray
    parent: np.ndarray
    num_actions: int

    def plan_of(self, policy: np.ndarray) -> np.ndarray:
        """The realisation plan [sequences] of a memoryless policy [S, n]."""
        plan = np.ones((len(self.state), self.num_actions))
        for index, (state, parent) in enumerate(zip(self.state, self.parent, strict=True)):
            plan[index] = (plan.flat[parent] if index else 1.0) * policy[state]
        return plan.ravel()

    def strategy_of(self, weights: np.ndarray) -> tuple[np.ndarray, Strategy]:
        """The strategy behind a solver's realisation plan, and the exact plan of that strategy."""
        plan = np.zeros((len(self.state), self.num_actions))
        strategy = {}
        for index, local in enumerate(np.maximum(weights, 0.0).reshape(plan.shape)):
            reach = plan.flat[self.parent[index]] if index else 1.0
            if reach <= _ROUNDING:
                continue
            total = local.sum()
            probabilities = local / total if total > 0 else np.full(self.num_actions, 1 / self.num_actions)
            plan[index] = reach * probabilities
            strategy[self.information_set(index)] = probabilities
        return plan.ravel(), strategy

    def best_value(self, returns: np.ndarray) -> float:
        """max over plans x of xᵀ ``returns``: the best action in every information set, last sets first."""
        best = returns.reshape(len(self.state), self.num_actions).copy()
        for index in range(len(best) - 1, 0, -1):
            best.flat[self.parent[index]] += best[index].max()
        return float(best[0].max())

    def information_set(self, index: int) -> InformationSet:
        """The memory that set ``index`` stands for."""
        history, state = [], int(self.state[index])
        while index:
            index, action = divmod(int(self.parent[index]), self.num_actions)
            history.append((int(self.state[index]), action))
        return InformationSet(tuple(reversed(history)), state)

    def constraints(self):
        """E [sets, sequences] of E x = (1, 0, …, 0): the weights in a set sum to the weight of what led there."""
        from scipy.sparse import csr_array

        sets = np.arange(len(self.state))
        rows = np.concatenate([np.repeat(sets, self.num_actions), sets[1:]])
        columns = np.concatenate([np.arange(len(sets) * self.num_actions), self.parent[1:]])
        values = np.concatenate([np.ones(len(sets) * self.num_actions), -np.ones(len(sets) - 1)])
        return csr_array((values, (rows, columns)), shape=(len(sets), len(sets) * self.num_actions))


def _sequence_form(game: TabularGame, seat: int):
    """The sequences of ``seat``, of its co-player, and the payoffs of ``seat``, sparse [own sequences, co sequences].

    Two information sets are compatible where they have seen the same states. A[σ, τ] is what the last actions of σ and
    τ pay; utility is xᵀA y, every step of the episode being counted where it happens.
    """
    from scipy.sparse import csr_array

    payoffs, next_state = game.payoffs[..., seat], game.next_state
    if seat == 1:
        payoffs, next_state = payoffs.swapaxes(1, 2), next_state.swapaxes(1, 2)
    # Whatever seat does, its co-player's first action adds the same constant: taking it out loses no digits later.
    payoffs = payoffs.copy()
    payoffs[0] -= (payoffs[0].max(axis=0) + payoffs[0].min(axis=0)) / 2
    _, num_own, num_co = next_state.shape
    own_sets, co_sets = {(-1, 0): 0}, {(-1, 0): 0}
    histories = [(0, 0, 0)]
    for own_set, co_set, state in histories:
        for own_action, co_action in np.argwhere(next_state[state] != END).tolist():
            following = int(next_state[state, own_action, co_action])
            own_next = own_sets.setdefault((own_set * num_own + own_action, following), len(own_sets))
            co_next = co_sets.setdefault((co_set * num_co + co_action, following), len(co_sets))
            histories.append((own_next, co_next, following))
        if len(histories) > HISTORIES_MOST:
            raise InputError(
                f"game '{game.name}' has more than {HISTORIES_MOST} joint histories, too many for the exact gap; "
                "train a best response instead"
            )
    own_set, co_set, state = np.array(histories).T
    values = payoffs[state]
    rows = (own_set[:, None] * num_own + np.arange(num_own))[:, :, None]
    columns = (co_set[:, None] * num_co + np.arange(num_co))[:, None, :]
    entries = [array.ravel() for array in np.broadcast_arrays(values, rows, columns)]
    shape = (len(own_sets) * num_own, len(co_sets) * num_co)
    matrix = csr_array((entries[0], (entries[1], entries[2])), shape=shape)
    return _sequences(own_sets, num_own), _sequences(co_sets, num_co), matrix


def _sequences(sets: dict[tuple[int, int], int], num_actions: int) -> _Sequences:
    parent, state = np.array(list(sets), dtype=np.int32).T
    return _Sequences(state, parent, num_actions)


def _solve(own: _Sequences, co: _Sequences, payoffs, plan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The linear program for the plan x: the witness plan y, and the dominating plan from the multipliers."""
    from scipy.sparse import csr_array, hstack

    payoffs = payoffs / (abs(payoffs).max() or 1.0)
    num_sets, num_co_sets = len(own.state), len(co.state)
    solution, multipliers = solve_program(
        np.concatenate([-(plan @ payoffs), np.eye(1, num_sets)[0]]),
        hstack([payoffs, -own.constraints().T], format="csr"),
        hstack([co.constraints(), csr_array((num_co_sets, num_sets))], format="csr"),
        np.eye(1, num_co_sets)[0],
        num_free=num_sets,
    )
    return solution[:-num_sets], multipliers


def _check_game_and_seat(game: object, seat: object) -> None:
    if not isinstance(game, TabularGame):
        raise InputError(f"{shown(game)} is no TabularGame; the exact gap needs a matrix or small extensive-form game")
    if isinstance(seat, bool) or not isinstance(seat, int | np.integer) or seat not in (0, 1):
        raise InputError(f"seat {shown(seat)} does not exist; give 0 or 1")


def _check_policy(game: TabularGame, seat: int, policy: object) -> np.ndarray:
    shape = (game.num_states, game.spaces[seat].num_actions)
    array = check_numbers(policy, "policy", "give [states, own actions] probabilities")
    if array.shape != shape:
        raise InputError(f"policy has shape {array.shape}; give {shape}, a row of probabilities for each state")
    return np.stack([check_distribution(row, shape[1], f"policy in state {s}") for s, row in enumerate(array)])
