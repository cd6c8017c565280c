"""Loaded DiCE: a surrogate whose derivatives of every order are unbiased policy-gradient estimates."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float


def loaded_dice(
    log_prob: Float[Array, "time *batch"],
    advantage: Float[Array, "time *batch"],
    first: Bool[Array, "time *batch"],
    decay: float = 0.95,
) -> Float[Array, "time *batch"]:
    """The Loaded DiCE terms ρ_t Ã_t, to be averaged by the caller.

    With dependencies that are discounted by λ and cut where an episode starts,

        v_t = 0 if t starts an episode else λ w_{t−1},    w_t = v_t + log_prob_t,
        box(x) = exp(x − stop_gradient(x)),               ρ_t = box(w_t) − box(v_t).

    Every term's value is 0; only its derivatives mean anything, and they may be taken in any order with respect to
    whatever ``log_prob`` depends on. First order it is Ã_t ∇ log_prob_t, whatever λ is.

    Args:
        log_prob: sum of the log-probabilities of the players' actions at each step whose influence is to be kept.
        advantage: Ã_t, treated as a constant.
        first: whether step t starts an episode. Dependencies older than the chunk are lost.
        decay: λ in [0, 1]; 1 keeps all dependencies (unbiased), less trades bias for variance.

    Source: Farquhar, Whiteson, Foerster, "Loaded DiCE", NeurIPS 2019.
    """
    _, (before, after) = lax.scan(
        lambda w_tm1, step: _accumulate(w_tm1, *step, decay=decay), jnp.zeros_like(log_prob[0]), (log_prob, first)
    )
    return (_box(after) - _box(before)) * lax.stop_gradient(advantage)


def _accumulate(w_tm1: Array, log_prob_t: Array, first_t: Array, *, decay: float) -> tuple[Array, tuple[Array, Array]]:
    v_t = jnp.where(first_t, 0.0, decay * w_tm1)
    w_t = v_t + log_prob_t
    return w_t, (v_t, w_t)


def _box(exponent: Array) -> Array:
    """Value 1, derivative that of ``exponent`` times itself: the MagicBox of Foerster et al. (2018)."""
    # Only the value is cancelled: the gradient must flow through the first occurrence.
    return jnp.exp(exponent - jax.lax.stop_gradient(exponent))
