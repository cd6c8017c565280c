"""Categorical distributions over logits with masks. Gradients stay finite when actions are masked or probabilities
reach 0 or 1: masked logits are replaced before anything is computed from them, never after.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rpax.environments.protocol import Key

Logits = Float[Array, "*batch actions"]
Mask = Bool[Array, "*batch actions"]


def log_probabilities(logits: Logits, legal: Mask | None = None) -> Logits:
    """log π(a) for every action, normalised over the legal ones; −inf exactly where an action is illegal."""
    if legal is None:
        return jax.nn.log_softmax(logits)
    # The finite stand-in keeps NaN out of the gradient; the -inf outside carries none.
    lowest = jnp.finfo(logits.dtype).min
    normalized = jax.nn.log_softmax(jnp.where(legal, logits, lowest))
    return jnp.where(legal, normalized, -jnp.inf)


def probabilities(logits: Logits, legal: Mask | None = None) -> Logits:
    """π(a) for every action; exactly 0 where an action is illegal."""
    if legal is None:
        return jax.nn.softmax(logits)
    lowest = jnp.finfo(logits.dtype).min
    return jnp.where(legal, jax.nn.softmax(jnp.where(legal, logits, lowest)), 0.0)


def sample(key: Key, logits: Logits, legal: Mask | None = None) -> Int[Array, "*batch"]:
    """Draw an action; illegal ones are never drawn."""
    return invert(jax.random.uniform(key, logits.shape[:-1], logits.dtype), logits, legal)


def invert(uniform: Float[Array, "*batch"], logits: Logits, legal: Mask | None = None) -> Int[Array, "*batch"]:
    """The action that a random number from [0, 1) draws, by inverting the distribution function.

    One random number a draw, where the Gumbel trick takes one an action. Illegal actions are never drawn.
    """
    chances = probabilities(logits, legal)
    # Parallel sums may rise by a rounding error over an action of probability 0, so those are left out by name.
    cumulative = jnp.where(chances > 0, jnp.cumsum(chances, axis=-1), 0.0)
    # Uniforms are multiples of 2^-23 below 1, so the product stays below the largest sum and some action is found.
    total = cumulative.max(axis=-1, keepdims=True)
    return jnp.argmax(cumulative > uniform[..., None] * total, axis=-1).astype(jnp.int32)


def most_likely(logits: Logits, legal: Mask | None = None) -> Int[Array, "*batch"]:
    """The legal action of the highest probability, the first of several."""
    possible = logits if legal is None else jnp.where(legal, logits, -jnp.inf)
    return jnp.argmax(possible, axis=-1).astype(jnp.int32)


def log_prob(logits: Logits, action: Int[Array, "*batch"], legal: Mask | None = None) -> Float[Array, "*batch"]:
    """log π(a) of the given actions."""
    return jnp.take_along_axis(log_probabilities(logits, legal), action[..., None], axis=-1)[..., 0]


def entropy(logits: Logits, legal: Mask | None = None) -> Float[Array, "*batch"]:
    """H(π) = −Σ_a π(a) log π(a) in nats, with 0 log 0 = 0."""
    log_pi = log_probabilities(logits, legal)
    finite = log_pi if legal is None else jnp.where(legal, log_pi, 0.0)
    return -jnp.sum(probabilities(logits, legal) * finite, axis=-1)


def kl_divergence(logits: Logits, other: Logits, legal: Mask | None = None) -> Float[Array, "*batch"]:
    """KL(π ‖ π′) = Σ_a π(a) (log π(a) − log π′(a)) in nats, for two policies with the same legal actions."""
    difference = log_probabilities(logits, legal) - log_probabilities(other, legal)
    if legal is not None:
        difference = jnp.where(legal, difference, 0.0)
    return jnp.sum(probabilities(logits, legal) * difference, axis=-1)
