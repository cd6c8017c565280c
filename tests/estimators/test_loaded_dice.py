"""Loaded DiCE: nothing is sampled here, expectations are sums over all joint actions or trajectories, in float64."""

import functools
import itertools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_allclose, assert_array_equal

from rpax.estimators import loaded_dice

TIME = 7
DECAYS = (0.0, 0.3, 0.95, 1.0)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def random_chunk(seed: int, *batch: int):
    """Log-probabilities, advantages and episode starts; the first step is no start, one in three of the others is."""
    rng = np.random.default_rng(seed)
    first = rng.random((TIME, *batch)) < 1 / 3
    first[0] = False
    log_prob, advantage = -rng.exponential(size=(TIME, *batch)), rng.normal(size=(TIME, *batch))
    return jnp.asarray(log_prob), jnp.asarray(advantage), jnp.asarray(first)


@pytest.mark.parametrize("decay", DECAYS)
def test_value_is_zero_whatever_is_put_in(decay):
    log_prob, advantage, first = random_chunk(0, 2, 3)
    for scale in (1.0, 1e3):  # exp(−1000·T) itself would underflow
        terms = loaded_dice(scale * log_prob, scale * advantage, first, decay)
        assert_array_equal(terms, np.zeros((TIME, 2, 3)))


@pytest.mark.parametrize("decay", DECAYS)
def test_first_derivative_is_the_policy_gradient_for_every_decay(decay):
    """∇_θ Σ ρ_t Ã_t = Σ Ã_t ∇_θ log π_θ(a_t), for a softmax policy with the closed form ∇ log π(a) = e_a − π."""
    _, advantage, first = random_chunk(1)
    rng = np.random.default_rng(2)
    theta, action = rng.normal(size=4), rng.integers(4, size=TIME)

    gradient = jax.grad(lambda p: loaded_dice(jax.nn.log_softmax(p)[action], advantage, first, decay).sum())(theta)

    pi = np.exp(theta) / np.exp(theta).sum()
    assert_allclose(gradient, advantage @ (np.eye(4)[action] - pi), rtol=1e-12)


def test_no_gradient_flows_into_the_advantages():
    """Also where they depend on the same parameters. The terms' value is 0, so only second derivatives can tell."""
    log_prob, _, first = random_chunk(3)

    @functools.partial(jax.jit, static_argnums=0)
    def curvature(constant):
        def total(x):
            advantage = jnp.sin(log_prob) if constant else jnp.sin(x)
            return loaded_dice(x, advantage, first, 0.9).sum()

        return jax.hessian(total)(log_prob)

    assert_array_equal(curvature(False), curvature(True))


@functools.partial(jax.jit, static_argnames="decay")
def second_derivative(log_prob, advantage, first, decay):
    """∂² Σ_t ρ_t Ã_t / ∂l_s ∂l_u for all pairs of steps."""
    return jax.hessian(lambda x: loaded_dice(x, advantage, first, decay).sum())(log_prob)


def derived_second_derivative(advantage, first, decay):
    """Ã_max(s,u) λ^|s−u| for two steps of the same episode, 0 across an episode start.

    ∂w_t/∂l_s = λ^{t−s} for s ≤ t in one episode, and w is linear in l, so that ∂²box(w_t) = ∂w_t ∂w_t. In ∂²ρ_t what
    box(w_t) and box(v_t) share cancels: only pairs whose later member is t itself remain.
    """
    episode = np.cumsum(first)
    expected = np.zeros((TIME, TIME))
    for s, u in itertools.product(range(TIME), repeat=2):
        if episode[s] == episode[u]:
            expected[s, u] = advantage[max(s, u)] * decay ** abs(s - u)
    return expected


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(
    first=arrays.arrays(bool, TIME),
    decay=st.sampled_from(DECAYS),
    seed=st.integers(0, 2**32 - 1),
)
def test_dependencies_are_discounted_and_cut_at_episode_starts(first, decay, seed):
    log_prob, advantage, _ = random_chunk(seed)
    found = second_derivative(log_prob, advantage, jnp.asarray(first), decay)
    assert_allclose(found, derived_second_derivative(advantage, first, decay), rtol=1e-12, atol=1e-14)


def test_with_decay_zero_only_the_same_step_counts():
    """λ = 0: an action influences how its own step is learned from, and nothing later."""
    log_prob, advantage, first = random_chunk(5)
    assert_allclose(second_derivative(log_prob, advantage, first, 0.0), np.diag(advantage), rtol=1e-12)


@pytest.mark.parametrize("decay", DECAYS)
def test_mixed_derivative_is_exact_on_a_one_step_game(decay):
    """λ cannot matter: there is no earlier step."""
    rng = np.random.default_rng(6)
    payoff, theta0, phi0 = jnp.asarray(rng.normal(size=(2, 3))), rng.normal(size=2), rng.normal(size=3)

    def surrogate(theta, phi):  # the expectation over all joint actions
        log_prob = jnp.add.outer(jax.nn.log_softmax(theta), jax.nn.log_softmax(phi))
        prob = jax.lax.stop_gradient(jnp.exp(log_prob))  # sampling frequencies carry no gradient
        terms = loaded_dice(log_prob[None], payoff[None], jnp.ones((1, 2, 3), bool), decay)
        return jnp.sum(prob * terms[0])

    def exact(theta, phi):
        return jax.nn.softmax(theta) @ payoff @ jax.nn.softmax(phi)

    def mixed(function):
        return jax.jit(jax.jacfwd(jax.grad(function), argnums=1))(theta0, phi0)

    assert_allclose(mixed(surrogate), mixed(exact), rtol=1e-12)


# A two-step game: 0 is the first state, equal actions lead to state 1, others to state 2.
TRAJECTORIES = np.array(list(itertools.product((0, 1), repeat=4)))
ACTIONS_0, ACTIONS_1 = TRAJECTORIES[:, [0, 2]].T, TRAJECTORIES[:, [1, 3]].T  # [time, trajectory]
STATES = np.stack([np.zeros(16, int), np.where(ACTIONS_0[0] == ACTIONS_1[0], 1, 2)])
FIRST = np.broadcast_to([[True], [False]], (2, 16))


def two_step_quantities(theta, phi, reward):
    """Joint action probabilities [S, 2, 2], and Q_s(a, b): what is still to come, exactly."""
    joint = jax.nn.softmax(theta)[:, :, None] * jax.nn.softmax(phi)[:, None, :]
    value = jnp.sum(joint * reward, axis=(1, 2))  # of states 1 and 2, where one step is left
    to_go = reward.at[0].add(jnp.where(jnp.eye(2, dtype=bool), value[1], value[2]))
    return joint, to_go


@functools.partial(jax.jit, static_argnames="decay")
def two_step_derivatives(theta0, phi0, reward, baseline, decay):
    """(∂²/∂θ∂φ, ∂²/∂θ∂θ) of the surrogate's expectation over all trajectories, and of the exact return."""
    _, to_go = two_step_quantities(theta0, phi0, reward)
    constant = to_go[STATES, ACTIONS_0, ACTIONS_1] - baseline[STATES]

    def surrogate(theta, phi):
        log_prob = jax.nn.log_softmax(theta)[STATES, ACTIONS_0] + jax.nn.log_softmax(phi)[STATES, ACTIONS_1]
        prob = jax.lax.stop_gradient(jnp.exp(log_prob.sum(axis=0)))
        return jnp.sum(prob * loaded_dice(log_prob, constant, jnp.asarray(FIRST), decay).sum(axis=0))

    def exact(theta, phi):
        joint, to_go = two_step_quantities(theta, phi, reward)
        return jnp.sum(joint[0] * to_go[0])

    return [
        [jax.jacfwd(jax.grad(f), argnums=argument)(theta0, phi0) for argument in (1, 0)] for f in (surrogate, exact)
    ]


def two_step_inputs():
    rng = np.random.default_rng(7)
    return rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), jnp.asarray(rng.normal(size=(3, 2, 2)))


@pytest.mark.parametrize("baseline", ["none", "value", "any"])
def test_second_derivatives_are_exact_on_a_two_step_game(baseline):
    """With λ = 1 and exact advantages-to-go Ã_t = Q(s_t, a_t, b_t) − baseline(s_t).

    Weighted by the sampling probability P_0 of a trajectory, box(w_t) is to every order the probability of its first
    t steps under (θ, φ), over the same under (θ_0, φ_0); box(v_t) is that of its first t − 1 steps. So

        E[Σ_t ρ_t Ã_t] = Σ_t Σ_{s_t} P(s_t) Σ_{a,b} (P(a, b|s_t) − P_0(a, b|s_t)) Q_0(s_t, a, b),

    from which the baseline drops out, and which by the performance difference lemma is U(θ, φ) − U(θ_0, φ_0).
    """
    inputs = two_step_inputs()
    joint, to_go = two_step_quantities(*inputs)
    values = {"none": jnp.zeros(3), "value": jnp.sum(joint * to_go, axis=(1, 2)), "any": jnp.array([3.0, -1.0, 0.5])}
    (mixed, own), (exact_mixed, exact_own) = two_step_derivatives(*inputs, values[baseline], 1.0)
    assert_allclose(mixed, exact_mixed, rtol=1e-12, atol=1e-14)
    assert_allclose(own, exact_own, rtol=1e-12, atol=1e-14)
    assert np.abs(exact_mixed[0, :, 1:]).max() > 0.01, "the two steps must depend on each other"


def test_influence_on_the_next_step_carries_one_factor_of_the_decay():
    """The mixed derivative is linear in λ where the two actions are a step apart, and free of it within one step."""
    (full, _), _ = two_step_derivatives(*two_step_inputs(), jnp.zeros(3), 1.0)
    (half, _), _ = two_step_derivatives(*two_step_inputs(), jnp.zeros(3), 0.5)
    step_of_state = np.array([0, 1, 1])
    apart = np.not_equal.outer(step_of_state, step_of_state)[:, None, :, None]
    assert_allclose(half, np.where(apart, 0.5, 1.0) * full, rtol=1e-12, atol=1e-14)
