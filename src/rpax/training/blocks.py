"""Sums over a recorded chunk, taken in blocks of time steps: memory stays bounded however large the chunk is."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

#: Stored as small integers, observations become floating-point numbers block by block, which should stay in the cache.
MOST_NUMBERS = 2**17


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
    # Jitted so that finding out the shapes and building the loop share one tracing.
    function = jax.jit(function, inline=True)
    shapes = jax.eval_shape(function, *_block(recorded, count, 0))

    def add(number: Array, total: Any) -> Any:
        return jax.tree.map(jnp.add, total, function(*_block(recorded, count, number)))

    return jax.lax.fori_loop(0, count, add, _zeros(shapes))


def sweep_back_over_blocks(
    function: Callable[..., tuple[Any, Any, Any]], count: int, carry: Any, *recorded: Any
) -> tuple[Any, Any]:
    """Blocks from the last to the first: ``function(carry, *block)`` gives what it carries, what is summed and results.

    Returns:
        The sum, and the results joined again along time.
    """
    if count == 1:
        return function(carry, *recorded)[1:]
    function = jax.jit(function, inline=True)
    _, shapes, _ = jax.eval_shape(function, carry, *_block(recorded, count, 0))

    def add(carry_and_total: Any, number: Array) -> tuple[Any, Any]:
        carry, total = carry_and_total
        carry, term, result = function(carry, *_block(recorded, count, number))
        return (carry, jax.tree.map(jnp.add, total, term)), result

    (_, total), results = jax.lax.scan(add, (carry, _zeros(shapes)), jnp.arange(count), reverse=True)
    return total, _join(results)


def map_over_blocks(function: Callable[..., Any], count: int, *recorded: Any) -> Any:
    """``function(*block)`` of every block, joined again along time."""
    if count == 1:
        return function(*recorded)
    return _join(jax.lax.map(lambda number: function(*_block(recorded, count, number)), jnp.arange(count)))


def _block(recorded: Any, count: int, number: int | Int[Array, ""]) -> Any:
    """Block ``number`` of ``count``. What a loop is given in blocks, XLA would copy as a whole before."""

    def of_leaf(leaf: Array) -> Array:
        size = leaf.shape[0] // count
        return jax.lax.dynamic_slice_in_dim(leaf, number * size, size)

    return jax.tree.map(of_leaf, recorded)


def _join(results: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), results)


def _zeros(shapes: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
