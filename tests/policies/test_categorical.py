"""Categorical distributions against plain NumPy; their gradients where masks and extreme logits could break them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rpax.policies import categorical
from rpax.training.problem import key_data


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def random_case(masked: bool, seed: int = 0):
    """Logits of two policies, legal actions (at least one a row; ``None`` for all), and legal actions taken."""
    rng = np.random.default_rng(seed)
    logits, other = 2 * rng.normal(size=(2, 4, 6, 5))
    legal = rng.random((4, 6, 5)) < 0.5
    np.put_along_axis(legal, rng.integers(5, size=(4, 6, 1)), True, axis=-1)
    allowed = legal if masked else np.ones_like(legal)
    action = np.array([rng.choice(np.flatnonzero(row)) for row in allowed.reshape(-1, 5)]).reshape(4, 6)
    return jnp.asarray(logits), jnp.asarray(other), jnp.asarray(legal) if masked else None, jnp.asarray(action)


def plain_probabilities(logits, legal) -> np.ndarray:
    weights = np.exp(np.asarray(logits)) * (1 if legal is None else np.asarray(legal))
    return weights / weights.sum(axis=-1, keepdims=True)


def plain_log(p: np.ndarray) -> np.ndarray:
    """log p, and 0 where p is 0: every use below multiplies it by p."""
    return np.log(p, where=p > 0, out=np.zeros_like(p))


@pytest.mark.parametrize("masked", [False, True])
def test_values_are_those_of_the_definitions(masked):
    logits, other, legal, action = random_case(masked)
    p, q = plain_probabilities(logits, legal), plain_probabilities(other, legal)
    log_p, log_q = plain_log(p), plain_log(q)

    assert_allclose(categorical.probabilities(logits, legal), p, rtol=1e-12)
    assert_allclose(categorical.log_probabilities(logits, legal), np.where(p > 0, log_p, -np.inf), rtol=1e-12)
    taken = np.take_along_axis(log_p, np.asarray(action)[..., None], axis=-1)[..., 0]
    assert_allclose(categorical.log_prob(logits, action, legal), taken, rtol=1e-12)
    assert_allclose(categorical.entropy(logits, legal), -np.sum(p * log_p, axis=-1), rtol=1e-12, atol=1e-14)
    expected = np.sum(p * (log_p - log_q), axis=-1)
    assert_allclose(categorical.kl_divergence(logits, other, legal), expected, rtol=1e-11, atol=1e-14)


def test_illegal_actions_have_probability_exactly_zero_whatever_their_logits_are():
    logits, _, legal, _ = random_case(masked=True)
    illegal = ~np.asarray(legal)
    for value in (-1e30, 0.0, 1e30, np.inf, np.nan):
        changed = jnp.where(legal, logits, value)
        assert_array_equal(np.asarray(categorical.probabilities(changed, legal))[illegal], 0.0)
        assert_array_equal(np.asarray(categorical.log_probabilities(changed, legal))[illegal], -np.inf)
        assert_array_equal(categorical.probabilities(changed, legal), categorical.probabilities(logits, legal))
        assert_array_equal(categorical.entropy(changed, legal), categorical.entropy(logits, legal))


def test_a_full_mask_is_no_mask():
    logits, other, _, action = random_case(masked=False)
    everything = jnp.ones_like(logits, bool)
    for function, arguments in (
        (categorical.probabilities, (logits,)),
        (categorical.entropy, (logits,)),
        (categorical.log_prob, (logits, action)),
        (categorical.kl_divergence, (logits, other)),
    ):
        assert_allclose(function(*arguments, everything), function(*arguments), rtol=1e-14)


def test_special_values():
    """k equal legal actions have entropy log k; one legal action has entropy 0; KL(π ‖ π) = 0."""
    legal = jnp.tril(jnp.ones((5, 5), bool))
    assert_allclose(categorical.entropy(jnp.full((5, 5), 7.0), legal), np.log(np.arange(1, 6)), rtol=1e-12, atol=1e-15)
    logits, _, legal, _ = random_case(masked=True)
    assert_array_equal(categorical.kl_divergence(logits, logits, legal), np.zeros((4, 6)))


#: rows: ordinary; two equal maxima; probabilities that are exactly 0 and 1; further out than exp can go.
EXTREME = np.array([[0.5, -1, 2, 0], [3, 3, -50, 1], [0, -1e4, 1e4, -1e4], [-3e7, 3e7, 0, 1]])
MASKS = {
    "none": None,
    "some": np.array([[True, False, True, True], [False, True, True, True], [True, True, False, True], [True] * 4]),
    "single": np.eye(4, dtype=bool),
}


@jax.jit
def derivatives(logits, other, action, legal):
    """The Jacobians of everything in the logits, the log-probability's also in the actions that were not taken."""
    found = {
        "probabilities": jax.jacrev(lambda x: categorical.probabilities(x, legal))(logits),
        "log_prob": jax.jacrev(lambda x: categorical.log_prob(x, action, legal))(logits),
        "entropy": jax.jacrev(lambda x: categorical.entropy(x, legal))(logits),
        "kl": jax.jacrev(lambda x: categorical.kl_divergence(x, other, legal))(logits),
        "kl in the other": jax.jacrev(lambda x: categorical.kl_divergence(logits, x, legal))(other),
        "second derivative of log_prob": jax.hessian(lambda x: categorical.log_prob(x, action, legal).sum())(logits),
        "second derivative of entropy": jax.hessian(lambda x: categorical.entropy(x, legal).sum())(logits),
    }
    values = (categorical.entropy(logits, legal), categorical.kl_divergence(logits, other, legal))
    return found, values


@pytest.mark.parametrize("mask", list(MASKS))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_and_gradients_stay_finite(mask, dtype):
    legal = None if MASKS[mask] is None else jnp.asarray(MASKS[mask])
    logits = jnp.asarray(EXTREME, dtype)
    action = jnp.arange(4) if legal is None else jnp.argmax(legal, axis=-1)
    found, values = derivatives(logits, logits[::-1], action, legal)
    for name, derivative in found.items():
        assert np.isfinite(derivative).all(), name
        if legal is not None:
            moving_illegal = np.moveaxis(np.asarray(derivative)[..., ~MASKS[mask]], -1, 0)
            assert_array_equal(moving_illegal, np.zeros_like(moving_illegal), err_msg=name)
    for value in values:
        assert np.isfinite(value).all()


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_those_of_the_closed_forms(masked):
    """∇ log π(a) = e_a − π, ∇H = −π (log π + H), ∇KL = π (log π/π′ − KL), in the legal logits."""
    logits, other, legal, action = random_case(masked, seed=1)
    p, q = plain_probabilities(logits, legal), plain_probabilities(other, legal)
    log_p, log_q = plain_log(p), plain_log(q)
    entropy, kl = -np.sum(p * log_p, axis=-1), np.sum(p * (log_p - log_q), axis=-1)

    def gradient(function):
        return jax.grad(lambda x: function(x).sum())(logits)

    found = gradient(lambda x: categorical.log_prob(x, action, legal))
    assert_allclose(found, np.eye(5)[np.asarray(action)] - p, rtol=1e-12, atol=1e-15)
    found = gradient(lambda x: categorical.entropy(x, legal))
    assert_allclose(found, -p * (log_p + entropy[..., None]), rtol=1e-11, atol=1e-14)
    found = gradient(lambda x: categorical.kl_divergence(x, other, legal))
    assert_allclose(found, p * (log_p - log_q - kl[..., None]), rtol=1e-11, atol=1e-14)


def test_illegal_actions_are_never_drawn():
    """Every pattern of legal actions of five, first, last and neighbouring ones missing, 20,000 times each."""
    patterns = np.array([[bool(number >> bit & 1) for bit in range(5)] for number in range(1, 32)])
    logits = jnp.asarray(np.random.default_rng(2).normal(size=(31, 5)), jnp.float32)
    draws = 20_000
    actions = jax.jit(categorical.sample)(
        key_data(0), jnp.broadcast_to(logits, (draws, 31, 5)), jnp.broadcast_to(jnp.asarray(patterns), (draws, 31, 5))
    )
    for pattern, drawn in zip(patterns, np.asarray(actions).T, strict=True):
        assert set(np.unique(drawn)) <= set(np.flatnonzero(pattern))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", ["smallest", "largest"])
def test_the_rarest_random_numbers_draw_legal_actions_too(number, dtype, monkeypatch):
    """0 and the largest number below 1 lead to the first and to the last legal action, in 5 and in 31 actions."""
    value = {"smallest": 0.0, "largest": 1 - np.finfo(dtype).eps}[number]  # jax.random.uniform draws multiples of eps
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape, dtype: jnp.full(shape, value, dtype))
    rng = np.random.default_rng(3)
    for actions in (5, 31):
        legal = rng.random((2000, actions)) < 0.4
        legal[np.arange(2000), rng.integers(actions, size=2000)] = True
        logits = jnp.asarray(rng.normal(size=(2000, actions)), dtype)
        expected = legal.argmax(axis=-1) if number == "smallest" else actions - 1 - legal[:, ::-1].argmax(axis=-1)
        assert_array_equal(categorical.sample(key_data(0), logits, jnp.asarray(legal)), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_actions_are_drawn_as_often_as_their_probabilities_say(dtype):
    """Pearson's χ² of 200,000 draws: 4 degrees of freedom exceed 35 less than once in two million times."""
    logits, legal = jnp.asarray([0.3, -1.0, 1.5, 9.0, 0.0, -3.0], dtype), jnp.array([1, 1, 1, 0, 1, 1], bool)
    draws = 200_000
    actions = categorical.sample(key_data(1), jnp.broadcast_to(logits, (draws, 6)), jnp.broadcast_to(legal, (draws, 6)))
    expected = draws * plain_probabilities(logits, legal)
    counts = np.bincount(np.asarray(actions), minlength=6)
    assert counts[3] == 0
    possible = expected > 0
    assert np.sum((counts - expected)[possible] ** 2 / expected[possible]) < 35


def test_certain_actions_are_always_drawn():
    logits = jnp.asarray(np.repeat([[0.0, 1e4, -1e4], [1e4, 0.0, 0.0], [0.0, 0.0, 1e4]], 1000, axis=0))
    assert_array_equal(categorical.sample(key_data(2), logits), np.repeat([1, 0, 2], 1000))
