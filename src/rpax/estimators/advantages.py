"""Generalised advantage estimation, and normalisation pooled over everything one agent learns from."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float


def discounted_advantages(
    reward: Float[Array, "time *batch"],
    value: Float[Array, "time_plus_1 *batch"],
    done: Bool[Array, "time *batch"],
    *,
    discount: float,
    gae_decay: float,
    following: Float[Array, "*batch"] | None = None,
) -> Float[Array, "time *batch"]:
    """GAE(γ, λ): A_t = δ_t + γ λ [not done_t] A_{t+1} with δ_t = r_t + γ [not done_t] V_{t+1} − V_t.

    Args:
        reward: r_t of one seat.
        value: V of the same seat before every step, and after the last one.
        done: whether the episode ended with step t (time limits too: they are treated as terminal).
        discount: γ.
        gae_decay: λ of GAE.
        following: A after the last step, where what is given is part of a longer record; else 0.

    Source: Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation", 2016.
    """
    going_on = 1.0 - done.astype(reward.dtype)
    delta = reward + discount * going_on * value[1:] - value[:-1]
    _, advantage = lax.scan(
        lambda a_tp1, step: _discount(a_tp1, *step),
        jnp.zeros_like(delta[0]) if following is None else following,
        (delta, discount * gae_decay * going_on),
        reverse=True,
    )
    return advantage


def _discount(a_tp1: Array, delta_t: Array, factor_t: Array) -> tuple[Array, Array]:
    a_t = delta_t + factor_t * a_tp1
    return a_t, a_t


def normalize_pooled(
    advantages: Any,
    epsilon: float = 1e-8,
    average: Callable[[Any], Any] = lambda means: means,
    counted: Any = None,
) -> Any:
    """(A − mean) / (std + ε) over all entries: every training partner of one agent together (paper, App. E.1).

    The weights of the edges must have been applied before; normalising each partner alone would undo them.

    Args:
        advantages: of one agent, or a dict of several agents' (each normalised by itself).
        epsilon: ε.
        average: the mean over what ``advantages`` is a part of, given the means of the part.
        counted: which entries are there at all, like ``advantages``; the others stay 0.
    """
    if counted is not None:
        return _normalize_counted(advantages, epsilon, average, counted)
    mean = average(jax.tree.map(jnp.mean, advantages))
    centred = jax.tree.map(jnp.subtract, advantages, mean)
    variance = average(jax.tree.map(lambda leaf: jnp.mean(jnp.square(leaf)), centred))
    return jax.tree.map(lambda leaf, of_leaf: leaf / (jnp.sqrt(of_leaf) + epsilon), centred, variance)


def _normalize_counted(advantages: Any, epsilon: float, average: Callable[[Any], Any], counted: Any) -> Any:
    """The same over the entries that are there; where there are none, all stay 0."""
    sums, share = average(
        (
            jax.tree.map(lambda a, there: jnp.mean(a * there), advantages, counted),
            jax.tree.map(lambda a, there: jnp.mean(there, dtype=a.dtype), advantages, counted),
        )
    )
    mean = jax.tree.map(lambda total, part: total / jnp.maximum(part, epsilon), sums, share)
    centred = jax.tree.map(lambda a, of_leaf, there: (a - of_leaf) * there, advantages, mean, counted)
    squares = average(jax.tree.map(lambda leaf: jnp.mean(jnp.square(leaf)), centred))
    variance = jax.tree.map(lambda total, part: total / jnp.maximum(part, epsilon), squares, share)
    return jax.tree.map(lambda leaf, of_leaf: leaf / (jnp.sqrt(of_leaf) + epsilon), centred, variance)
