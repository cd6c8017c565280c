"""Three small extensive-form games: common payoff, two actions a seat, both seats see the state."""

import itertools

import numpy as np

from rpax.environments.tabular_game import END, TabularGame

_ACTIONS = (("0", "1"), ("0", "1"))


def make_g1(name: str) -> TabularGame:
    """A chain of five agreed joint actions; one mistake leads to a state of the failing chain, which pays nothing.

    States 0–9. From s < 5 the joint action [(0,1), (0,0), (1,0), (1,1)][s mod 4] leads to s + 1, any other to s + 6;
    6…9 lead to s + 1 and 10 rejects. The step taken from state 5 pays 1 and ends the episode, as does entering 10.
    """
    right = [(0, 1), (0, 0), (1, 0), (1, 1)]
    next_state = np.full((10, 2, 2), END)
    for state, *actions in itertools.product(range(10), (0, 1), (0, 1)):
        if state < 5:
            following = state + 1 if tuple(actions) == right[state % 4] else state + 6
        else:
            following = END if state == 5 else state + 1
        next_state[(state, *actions)] = END if following == 10 else following
    payoffs = np.zeros((10, 2, 2, 2))
    payoffs[5] = 1
    return TabularGame(name, next_state, payoffs, _ACTIONS)


def make_g2(name: str) -> TabularGame:
    """Equal actions win: 0 leads to 1 for equal actions, else to 3; 1 to 2, 3 to 4; 2 and 4 end and 2 pays 1."""
    next_state = np.array([[[1, 3], [3, 1]], [[2, 2], [2, 2]], _ends(), [[4, 4], [4, 4]], _ends()])
    return TabularGame(name, next_state, _pays_in(2, states=5), _ACTIONS)


def make_g3(name: str) -> TabularGame:
    """Match, then mismatch: from s in {0, 1}, a0 == (a1 + s) mod 2 leads to s + 1, else to s + 3.

    3 leads to 4; 2 and 4 end and 2 pays 1.
    """
    next_state = np.array([[[1, 3], [3, 1]], [[4, 2], [2, 4]], _ends(), [[4, 4], [4, 4]], _ends()])
    return TabularGame(name, next_state, _pays_in(2, states=5), _ACTIONS)


def _ends() -> list[list[int]]:
    return [[END, END], [END, END]]


def _pays_in(state: int, states: int) -> np.ndarray:
    payoffs = np.zeros((states, 2, 2, 2))
    payoffs[state] = 1
    return payoffs
