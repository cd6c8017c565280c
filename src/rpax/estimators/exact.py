"""Exact expected returns of small games by dynamic programming; differentiable in both policies."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def exact_returns(
    next_state: Int[Array, "states actions_0 actions_1"],
    payoffs: Float[Array, "states actions_0 actions_1 2"],
    policy_0: Float[Array, "states actions_0"],
    policy_1: Float[Array, "states actions_1"],
    *,
    horizon: int,
) -> Float[Array, "2"]:
    """U(π_0, π_1): what each seat gets in expectation from state 0, undiscounted; see :func:`exact_values`."""
    return exact_values(next_state, payoffs, policy_0, policy_1, horizon=horizon)[0]


def exact_values(
    next_state: Int[Array, "states actions_0 actions_1"],
    payoffs: Float[Array, "states actions_0 actions_1 2"],
    policy_0: Float[Array, "states actions_0"],
    policy_1: Float[Array, "states actions_1"],
    *,
    horizon: int,
) -> Float[Array, "states 2"]:
    """V: what each seat gets in expectation from each state, undiscounted.

    The backward recursion V_s = Σ_{a,b} π_0(a|s) π_1(b|s) (r(s,a,b) + V_{s'}) with V = 0 after the end, applied
    ``horizon`` times, is a polynomial in the action probabilities, so its derivatives of every order are exact.

    Args:
        next_state: the state after each joint action; −1 ends the episode.
        payoffs: what each joint action pays to each seat.
        policy_0: seat 0's action probabilities in each state; any non-negative or even unnormalised array works.
        policy_1: seat 1's.
        horizon: the longest episode's number of steps.
    """
    joint = policy_0[:, :, None] * policy_1[:, None, :]
    immediate = jnp.einsum("sab,sabk->sk", joint, payoffs)
    value = immediate
    for _ in range(horizon - 1):
        following = jnp.where(next_state[..., None] < 0, 0.0, value[next_state])
        value = immediate + jnp.einsum("sab,sabk->sk", joint, following)
    return value


def mixed_play_starts(
    next_state: Int[Array, "states actions_0 actions_1"],
    policy_0: Float[Array, "states actions_0"],
    policy_1: Float[Array, "states actions_1"],
    *,
    horizon: int,
) -> Float[Array, " states"]:
    """How likely play from state 0 is in each state at a uniformly random step from 1 to ``horizon`` − 1.

    In a game of one step that is its start. Where play may have ended before, the chances add up to less than 1.

    Args:
        next_state: the state after each joint action; −1 ends the episode.
        policy_0: seat 0's action probabilities in each state.
        policy_1: seat 1's.
        horizon: the longest episode's number of steps.
    """
    states = jnp.arange(len(next_state))
    leads_to = (next_state[..., None] == states).astype(policy_0.dtype)
    transition = jnp.einsum("sa,sb,sabz->sz", policy_0, policy_1, leads_to)
    there = (states == 0).astype(policy_0.dtype)
    if horizon == 1:
        return there
    total = jnp.zeros_like(there)
    for _ in range(horizon - 1):
        there = there @ transition
        total += there
    return total / (horizon - 1)
