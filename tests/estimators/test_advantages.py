"""Advantages against the double sum that defines them, and their special cases."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rpax.estimators import discounted_advantages, normalize_pooled

TIME = 8


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def random_stream(seed: int, *batch: int):
    """Rewards, values (one more) and episode ends."""
    rng = np.random.default_rng(seed)
    shape = (TIME, *batch)
    return rng.normal(size=shape), rng.normal(size=(TIME + 1, *batch)), rng.random(shape) < 0.3


@functools.partial(jax.jit, static_argnums=(3, 4))
def gae(reward, value, done, discount, gae_decay):
    return discounted_advantages(reward, value, done, discount=discount, gae_decay=gae_decay)


def gae_by_definition(reward, value, done, discount, gae_decay):
    """A_t = Σ_{k=t}^{end} (γλ)^{k−t} (r_k + γ V_{k+1} − V_k), the last value 0 if the episode ended; one stream."""
    advantage = []
    for t in range(len(reward)):
        total = 0.0
        for k in range(t, len(reward)):
            following = 0.0 if done[k] else value[k + 1]
            total += (discount * gae_decay) ** (k - t) * (reward[k] + discount * following - value[k])
            if done[k]:
                break
        advantage.append(total)
    return np.array(advantage)


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(decays=st.sampled_from([(1.0, 1.0), (0.95, 0.9), (0.5, 0.0)]), seed=st.integers(0, 2**32 - 1))
def test_gae_is_the_discounted_sum_of_errors_up_to_the_end_of_the_episode(decays, seed):
    discount, gae_decay = decays
    reward, value, done = random_stream(seed, 3)
    found = np.asarray(gae(reward, value, done, discount, gae_decay))
    for stream in range(3):
        expected = gae_by_definition(reward[:, stream], value[:, stream], done[:, stream], discount, gae_decay)
        assert_allclose(found[:, stream], expected, rtol=1e-12, atol=1e-13)


def test_gae_without_decay_is_the_temporal_difference_error():
    reward, value, done = random_stream(1, 2)
    expected = reward + 0.9 * np.where(done, 0, value[1:]) - value[:-1]
    assert_allclose(gae(reward, value, done, 0.9, 0.0), expected, rtol=1e-12)


def test_gae_with_full_decay_is_the_monte_carlo_return_minus_the_value():
    """The sum of errors telescopes: every value but the first, and the last one if the episode goes on, cancels."""
    reward, value, done = random_stream(2)
    done[-1] = False
    expected = np.zeros(TIME)
    for t in range(TIME):
        ends = np.flatnonzero(done[t:])
        steps = ends[0] + 1 if len(ends) else TIME - t
        remaining = 0.0 if len(ends) else 0.9**steps * value[TIME]
        expected[t] = 0.9 ** np.arange(steps) @ reward[t : t + steps] + remaining - value[t]
    assert_allclose(gae(reward, value, done, 0.9, 1.0), expected, rtol=1e-12)


def test_nothing_beyond_the_end_of_an_episode_counts():
    """With an end at step 3, the advantages of steps 0 … 3 are those of the chunk that stops there."""
    reward, value, _ = random_stream(3)
    done = np.arange(TIME) == 3
    found = gae(reward, value, done, 0.9, 0.8)
    other = gae(
        np.where(np.arange(TIME) <= 3, reward, 77.0), np.where(np.arange(TIME + 1) <= 3, value, -5.0), done, 0.9, 0.8
    )
    assert_allclose(found[:4], other[:4], rtol=1e-15)
    assert np.all(np.asarray(found[4:]) != np.asarray(other[4:]))


def test_true_values_leave_zero_advantage():
    """Where V is what will come, every error is 0: here 1 a step forever, V = 1 / (1 − γ)."""
    value = np.full(TIME + 1, 1 / (1 - 0.9))
    assert_allclose(gae(np.ones(TIME), value, np.zeros(TIME, bool), 0.9, 0.8), np.zeros(TIME), atol=1e-12)


def test_pooled_normalization_has_mean_zero_and_standard_deviation_one():
    advantage = jnp.asarray(3.0 + 5.0 * np.random.default_rng(4).normal(size=(4, 3, 6)))
    found = np.asarray(normalize_pooled(advantage))
    # ε = 1e-8 beside a standard deviation of about 5 makes it 1 − 2e-9.
    assert_allclose([found.mean(), found.std()], [0.0, 1.0], atol=1e-8)


@pytest.mark.parametrize(("scale", "shift"), [(1e-3, 0.0), (250.0, -40.0)])
def test_pooled_normalization_forgets_scale_and_shift_of_the_rewards(scale, shift):
    advantage = jnp.asarray(np.random.default_rng(5).normal(size=(4, 3, 6)))
    # ε changes the result by ε / std, 1e-5 for the smallest scale.
    assert_allclose(normalize_pooled(scale * advantage + shift), normalize_pooled(advantage), rtol=2e-5, atol=1e-7)


def test_pooled_normalization_keeps_what_partners_have_over_one_another():
    """Per partner each would get mean 0; pooled, order and distances between partners survive."""
    rng = np.random.default_rng(6)
    advantage = jnp.asarray(rng.normal(size=(4, 2, 50)) + np.array([5.0, -5.0])[:, None])  # partner 0 is worth 10 more
    pooled = np.asarray(normalize_pooled(advantage))
    per_partner = np.asarray(jax.vmap(normalize_pooled, in_axes=1, out_axes=1)(advantage))
    difference = advantage[:, 0].mean() - advantage[:, 1].mean()
    assert_allclose(pooled[:, 0].mean() - pooled[:, 1].mean(), difference / advantage.std(), rtol=1e-6)
    assert_allclose(per_partner.mean(axis=(0, 2)), [0.0, 0.0], atol=1e-12)


def test_equal_advantages_normalize_to_zero_not_to_nan():
    np.testing.assert_array_equal(normalize_pooled(jnp.full((3, 2), 1.5)), np.zeros((3, 2)))
