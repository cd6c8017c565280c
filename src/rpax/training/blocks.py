"""Sums over a recorded chunk, taken in blocks of time steps: memory stays bounded however large the chunk is."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

#: Stored as small integers, observations become floating-point numbers block by block, which should stay in the cache.
MOST_NUMBERS = 2**20


def number_of_blocks(steps: int, numbers_per_step: int) -> int:
    """The least number of equal blocks of steps with at most ``MOST_NUMBERS`` numbers each (or of one step each)."""
    for count in range(1, steps):
        if steps % count == 0 and steps // count * numbers_per_step <= MOST_NUMBERS:
            return count
    return steps


def sum_over_blocks(function: Callable[..., Any], count: int, *recorded: Any) -> Any:
    """Σ over blocks of ``function(*block)``; the leading axis of every array in ``recorded`` is time."""
    if count == 1:
        return function(*recorded)
    blocks = _split(recorded, count)
    # Jitted so that finding out the shapes and building the loop share one tracing.
    function = jax.jit(function, inline=True)
    shapes = jax.eval_shape(function, *jax.tree.map(lambda leaf: leaf[0], blocks))
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def add(total: Any, block: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, function(*block)), None

    return jax.lax.scan(add, nothing, blocks)[0]


def sweep_back_over_blocks(
    function: Callable[..., tuple[Any, Any, Any]], count: int, carry: Any, *recorded: Any
) -> tuple[Any, Any]:
    """Blocks from the last to the first: ``function(carry, *block)`` gives what it carries, what is summed and results.

    Returns:
        The sum, and the results joined again along time.
    """
    if count == 1:
        return function(carry, *recorded)[1:]
    blocks = _split(recorded, count)
    function = jax.jit(function, inline=True)
    _, shapes, _ = jax.eval_shape(function, carry, *jax.tree.map(lambda leaf: leaf[0], blocks))
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def add(carry_and_total: Any, block: Any) -> tuple[Any, Any]:
        carry, total = carry_and_total
        carry, term, result = function(carry, *block)
        return (carry, jax.tree.map(jnp.add, total, term)), result

    (_, total), results = jax.lax.scan(add, (carry, nothing), blocks, reverse=True)
    return total, _join(results)


def map_over_blocks(function: Callable[..., Any], count: int, *recorded: Any) -> Any:
    """``function`` of every block, joined again along time."""
    if count == 1:
        return function(*recorded)
    results = jax.lax.map(lambda block: function(*block), _split(recorded, count))
    return _join(results)


def _join(results: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), results)


def _split(recorded: Any, count: int) -> Any:
    return jax.tree.map(lambda leaf: leaf.reshape(count, -1, *leaf.shape[1:]), recorded)
