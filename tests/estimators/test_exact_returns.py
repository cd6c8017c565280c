"""Exact returns against the sum over all trajectories, written as plain Python."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import rpax
from rpax.environments.tabular_game import END, TabularGame
from rpax.estimators import exact_returns

NAMES = [
    "matrix/figure-2",
    "matrix/figure-13",
    "matrix/figure-14",
    "matrix/figure-17",
    "extensive/g1",
    "extensive/g2",
    "extensive/g3",
]


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def general_game() -> TabularGame:
    """Three states, 2 × 3 actions, own payoffs for each seat on every joint action, episodes of one to three steps."""
    rng = np.random.default_rng(0)
    next_state = np.array([[[1, 2, END], [2, 1, 1]], [[END, 2, 2], [2, END, 2]], [[END] * 3] * 2])
    return TabularGame("general", next_state, rng.normal(size=(3, 2, 3, 2)))


def games() -> list[TabularGame]:
    return [*(rpax.make(name) for name in NAMES), general_game()]


def random_logits(game: TabularGame, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=(game.num_states, space.num_actions)) for space in game.spaces)


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits)
    return weights / weights.sum(axis=-1, keepdims=True)


def returns_by_enumeration(game: TabularGame, policy_0: np.ndarray, policy_1: np.ndarray) -> np.ndarray:
    """Σ over all trajectories of probability × sum of payoffs, a seat."""
    actions = list(itertools.product(range(policy_0.shape[1]), range(policy_1.shape[1])))
    expected = np.zeros(2)
    unfinished = [(0, 1.0, np.zeros(2))]
    while unfinished:
        state, probability, so_far = unfinished.pop()
        for a, b in actions:
            chance = probability * policy_0[state, a] * policy_1[state, b]
            total = so_far + game.payoffs[state, a, b]
            following = int(game.next_state[state, a, b])
            if following == END:
                expected += chance * total
            else:
                unfinished.append((following, chance, total))
    return expected


def of_logits(game: TabularGame):
    """U of both seats as a function of both seats' logits."""
    tables = functools.partial(exact_returns, jnp.asarray(game.next_state), jnp.asarray(game.payoffs))

    def returns(logits_0, logits_1):
        return tables(jax.nn.softmax(logits_0), jax.nn.softmax(logits_1), horizon=game.horizon)

    return returns


@pytest.mark.parametrize("game", games(), ids=lambda game: game.name)
def test_returns_and_gradients_are_those_of_the_enumeration(game):
    """Values to rounding; derivatives against central differences of the enumeration (error h² ≈ 1e-10)."""
    function = of_logits(game)
    compiled = jax.jit(lambda *logits: (function(*logits), jax.jacrev(function, argnums=(0, 1))(*logits)))
    h = 1e-5
    for seed in (1, 2):
        logits = random_logits(game, seed)
        found, gradients = compiled(*logits)
        assert_allclose(found, returns_by_enumeration(game, *map(softmax, logits)), rtol=1e-12, atol=1e-13)
        # A direction through all logits of both seats tests every derivative at once.
        direction = random_logits(game, seed + 10)
        ends = [
            returns_by_enumeration(game, *(softmax(x + sign * h * d) for x, d in zip(logits, direction, strict=True)))
            for sign in (1, -1)
        ]
        along = sum(np.tensordot(g, d, axes=2) for g, d in zip(gradients, direction, strict=True))
        assert_allclose(along, (ends[0] - ends[1]) / (2 * h), rtol=1e-7, atol=1e-9)


def test_every_partial_derivative_is_the_central_difference():
    """Entry by entry, on the game with most structure."""
    game = general_game()
    logits = random_logits(game, 5)
    gradients = jax.jit(jax.jacrev(of_logits(game), argnums=(0, 1)))(*logits)
    h = 1e-5
    for seat in (0, 1):
        for where in np.ndindex(*logits[seat].shape):
            ends = []
            for sign in (1, -1):
                moved = [array.copy() for array in logits]
                moved[seat][where] += sign * h
                ends.append(returns_by_enumeration(game, *map(softmax, moved)))
            assert_allclose(gradients[seat][(slice(None), *where)], (ends[0] - ends[1]) / (2 * h), rtol=1e-6, atol=1e-9)


def test_certain_actions_follow_one_path():
    """g1 pays 1 for its five right joint actions, written here by hand, and 0 after any single mistake."""
    game = rpax.make("extensive/g1")
    right = np.array([(0, 1), (0, 0), (1, 0), (1, 1), (0, 1)])

    def returns(actions):
        tables = [np.tile([1.0, 0.0], (game.num_states, 1)) for _ in (0, 1)]
        for seat, table in enumerate(tables):
            table[:5] = np.eye(2)[actions[:, seat]]
        return exact_returns(
            jnp.asarray(game.next_state), jnp.asarray(game.payoffs), *map(jnp.asarray, tables), horizon=6
        )

    assert_allclose(returns(right), [1.0, 1.0])
    for step, seat in itertools.product(range(5), (0, 1)):
        wrong = right.copy()
        wrong[step, seat] = 1 - wrong[step, seat]
        assert_allclose(returns(wrong), [0.0, 0.0])


@pytest.mark.parametrize("name", ["matrix/figure-14", "matrix/figure-17"])
def test_in_a_game_of_one_state_returns_are_linear_in_each_policy(name):
    """U(α π + (1 − α) π′, σ) = α U(π, σ) + (1 − α) U(π′, σ), also outside the simplex; the same for seat 1."""
    game = rpax.make(name)
    (p, s), (q, t) = ([jnp.asarray(softmax(x)) for x in random_logits(game, seed)] for seed in (3, 4))
    returns = functools.partial(exact_returns, jnp.asarray(game.next_state), jnp.asarray(game.payoffs), horizon=1)
    for alpha in (0.25, -1.5):
        blended = alpha * returns(p, s) + (1 - alpha) * returns(q, s)
        assert_allclose(returns(alpha * p + (1 - alpha) * q, s), blended, rtol=1e-12)
        blended = alpha * returns(p, s) + (1 - alpha) * returns(p, t)
        assert_allclose(returns(p, alpha * s + (1 - alpha) * t), blended, rtol=1e-12)


def test_a_longer_horizon_than_the_game_changes_nothing():
    game = general_game()
    p, s = (jnp.asarray(softmax(x)) for x in random_logits(game, 6))
    for horizon in (game.horizon, game.horizon + 3):
        found = exact_returns(jnp.asarray(game.next_state), jnp.asarray(game.payoffs), p, s, horizon=horizon)
        assert_allclose(found, returns_by_enumeration(game, np.asarray(p), np.asarray(s)), rtol=1e-12)
