"""Influence credits: against autodiff of the surrogate they come from, and against their definition as double sums."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rpax.estimators import influence_credits, loaded_dice

SHAPES = [(1,), (6, 2), (4, 2, 3)]


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def random_batch(seed: int, shape: tuple[int, ...]):
    """Log-probabilities of both players, a direction's scores, advantages and episode starts."""
    rng = np.random.default_rng(seed)
    own, partner = -rng.exponential(size=(2, *shape))
    arrays = (own, partner, rng.normal(size=shape), rng.normal(size=shape), rng.random(shape) < 0.3)
    return tuple(map(jnp.asarray, arrays))


@functools.partial(jax.jit, static_argnames="decay")
def credits_by_autodiff(own, partner, score, advantage, first, decay):
    """∂/∂(partner's log-probabilities) of the derivative of Σ ρ_t Ã_t along d, where ⟨d, ∇ own_t⟩ = s_t."""

    def along_direction(partner):
        def surrogate(own):
            return loaded_dice(own + partner, advantage, first, decay).sum()

        return jax.jvp(surrogate, (own,), (score,))[1]

    return jax.grad(along_direction)(partner)


def credits_by_definition(score, advantage, first, decay):
    """c_t = Ã_t Σ_{s<t} λ^{t−s} s_s + Σ_{u≥t} λ^{u−t} Ã_u s_u, both sums within the episode of t; one stream."""
    episode = np.cumsum(first)
    total = np.zeros(len(score))
    for t in range(len(score)):
        for other in np.flatnonzero(episode == episode[t]):
            if other < t:
                total[t] += advantage[t] * decay ** (t - other) * score[other]
            else:
                total[t] += decay ** (other - t) * advantage[other] * score[other]
    return total


decays = st.sampled_from([0.0, 0.7, 1.0])
credits = jax.jit(influence_credits, static_argnames="decay")


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(shape=st.sampled_from(SHAPES), decay=decays, seed=st.integers(0, 2**32 - 1))
def test_credits_are_the_mixed_derivative_of_loaded_dice(shape, decay, seed):
    own, partner, score, advantage, first = random_batch(seed, shape)
    found = credits(score, advantage, first, decay)
    expected = credits_by_autodiff(own, partner, score, advantage, first, decay)
    assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(shape=st.sampled_from(SHAPES), decay=decays, seed=st.integers(0, 2**32 - 1))
def test_credits_are_their_definition_in_every_stream(shape, decay, seed):
    _, _, score, advantage, first = random_batch(seed, shape)
    found = np.asarray(credits(score, advantage, first, decay)).reshape(shape[0], -1)
    streams = (np.asarray(array).reshape(shape[0], -1).T for array in (score, advantage, first))
    for column, stream in enumerate(zip(*streams, strict=True)):
        assert_allclose(found[:, column], credits_by_definition(*stream, decay), rtol=1e-12, atol=1e-13)


def test_one_step_episodes_credit_advantage_times_score():
    """The special case of a one-shot game: c_t = Ã_t s_t whatever λ is."""
    _, _, score, advantage, first = random_batch(1, (5, 3))
    found = credits(score, advantage, jnp.ones_like(first), 0.9)
    assert_allclose(found, advantage * score, rtol=1e-15)


def test_whether_the_chunk_begins_with_a_start_does_not_matter():
    """What came before the chunk is lost either way."""
    _, _, score, advantage, first = random_batch(2, (6, 4))
    starting, going_on = first.at[0].set(True), first.at[0].set(False)
    assert_array_equal(credits(score, advantage, starting, 0.9), credits(score, advantage, going_on, 0.9))


def test_credits_are_linear_in_the_scores_and_so_is_their_derivative():
    """The lookahead differentiates through the credits. Linear means that the derivative along x is the credit of x."""
    _, other, score, advantage, first = random_batch(3, (6, 4))
    _, tangent = jax.jvp(lambda s: influence_credits(s, advantage, first, 0.7), (score,), (other,))
    assert_allclose(tangent, credits(other, advantage, first, 0.7), rtol=1e-12, atol=1e-14)
