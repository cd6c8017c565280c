"""The paper's normal-form games, and custom ones. Rows are seat 0 (X), columns seat 1 (Y)."""

import numpy as np

from rpax.environments.payoffs import check_payoffs, read_payoffs
from rpax.environments.tabular_game import END, TabularGame
from rpax.errors import InputError

_FIGURE_14 = [[(3, 2), (0, 0), (-1, -1)], [(1, 1), (2, 3), (-1, -1)]]

#: name -> (payoffs, seat 0's action names, seat 1's action names)
_GAMES: dict[str, tuple[object, tuple[str, ...], tuple[str, ...]]] = {
    "matrix/figure-2": ([[1, 0, -1], [0, 1, -1]], ("A", "B"), ("C", "D", "E")),
    "matrix/figure-13": ([[1, 0.9, 0], [0, -1, 1]], ("A", "B"), ("C", "D", "E")),
    "matrix/figure-14": (np.moveaxis(np.array(_FIGURE_14), -1, 0), ("A", "B"), ("C", "D", "E")),
    "matrix/figure-17": (
        [[[0, -1, 1], [1, 0, -1], [-1, 1, 0]], [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]],
        ("rock", "paper", "scissors"),
        ("rock", "paper", "scissors"),
    ),
}


def normal_form(
    name: str, payoffs: object, action_names: tuple[tuple[str, ...], tuple[str, ...]] | None = None
) -> TabularGame:
    """A normal-form game from one payoff matrix (common payoff) or a pair (one a seat, rows are seat 0 in both)."""
    table = check_payoffs(payoffs)
    ends = np.full((1, *table.shape[:2]), END)
    return TabularGame(name, ends, table[None], action_names)


def make_matrix_game(name: str) -> TabularGame:
    """One of the paper's matrix games by name."""
    payoffs, rows, columns = _GAMES[name]
    return normal_form(name, payoffs, (rows, columns))


def make_custom_game(name: str, payoffs: object = None) -> TabularGame:
    """``matrix/custom``: the user's own payoffs.

    Raises:
        InputError: payoffs are missing or no matrix of finite numbers with at least two actions a seat.
    """
    if payoffs is None:
        raise InputError(f"environment '{name}' needs payoffs; give them like payoffs='[[1, 0], [0, 1]]' or as a file")
    return normal_form(name, read_payoffs(payoffs))
