"""Influence credits: the manipulator's gradient as an ordinary policy gradient, without higher-order autodiff."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float


def influence_credits(
    score: Float[Array, "time *batch"],
    advantage: Float[Array, "time *batch"],
    first: Bool[Array, "time *batch"],
    decay: float = 0.95,
) -> Float[Array, "time *batch"]:
    """The credit c_t of the partner's action at t for the change of the base agent's update in a direction d.

    With s_t = ⟨d, ∇_θ log π_θ(a_t | o_t)⟩ and dependencies that are discounted by λ and cut at episode starts,

        P_t = s_t + λ P_{t−1} [t is not a start],   P⁻_t = P_t − s_t,
        R_t = Ã_t s_t + λ R_{t+1} [t+1 is not a start],
        c_t = Ã_t P⁻_t + R_t.

    Then ∇_φ ⟨d, ∇_θ Σ_t ρ_t Ã_t⟩ = Σ_t c_t ∇_φ log π_φ(b_t | o^φ_t) for the Loaded DiCE terms ρ_t Ã_t: the credits are
    the manipulator's advantages. Derived in ``docs/method.md``.

    Args:
        score: s_t. May be differentiated in; so may the result.
        advantage: Ã_t.
        first: whether step t starts an episode.
        decay: λ, the same as in :func:`rpax.estimators.loaded_dice`.
    """
    # Written with what flows *in* from a neighbour (P⁻_t = λ P_{t−1}) rather than as a difference: no cancellation.
    zeros = jnp.zeros_like(score[0])
    _, earlier = lax.scan(lambda p_tm1, step: _forward(p_tm1, *step, decay=decay), zeros, (score, first))
    ends = jnp.concatenate([first[1:], jnp.ones_like(first[:1])])
    _, later = lax.scan(
        lambda r_tp1, step: _backward(r_tp1, *step, decay=decay), zeros, (score * advantage, ends), reverse=True
    )
    return advantage * earlier + later


def _forward(p_tm1: Array, score_t: Array, first_t: Array, *, decay: float) -> tuple[Array, Array]:
    earlier_t = jnp.where(first_t, 0.0, decay * p_tm1)
    return earlier_t + score_t, earlier_t


def _backward(r_tp1: Array, weighted_t: Array, ends_t: Array, *, decay: float) -> tuple[Array, Array]:
    r_t = weighted_t + jnp.where(ends_t, 0.0, decay * r_tp1)
    return r_t, r_t
