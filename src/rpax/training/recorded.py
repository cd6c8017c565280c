"""What agents saw and did in a recorded chunk, taken in blocks of time steps and in parts of the environments."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from rpax.training.blocks import map_over_blocks, number_of_blocks, sum_over_blocks
from rpax.training.parts import Part, views
from rpax.training.rollout import Chunk

#: The fields of a chunk that :func:`~rpax.training.parts.views` show, by time.
_SEEN_AND_DONE = ("observations", "legal", "actions", "first", "first_layers")


def sum_over_views(
    function: Callable[..., Any], chunk: Chunk, part: Part, *others: Array, as_played: bool = False
) -> Any:
    """Σ over blocks of ``function(views, *others)``; the leading axis of ``others`` is time.

    With ``as_played``, ``function`` may take the parameters that played only (:func:`~rpax.training.parts.views`).
    """
    count, of_block, recorded = _blocks(function, chunk, part, as_played)
    return sum_over_blocks(of_block, count, *recorded, *others)


def map_over_views(
    function: Callable[..., Any], chunk: Chunk, part: Part, *others: Array, as_played: bool = False
) -> Any:
    """``function(views, *others)`` of every block, joined again along time; ``as_played`` as above."""
    count, of_block, recorded = _blocks(function, chunk, part, as_played)
    return map_over_blocks(of_block, count, *recorded, *others)


def _blocks(
    function: Callable[..., Any], chunk: Chunk, part: Part, as_played: bool
) -> tuple[int, Callable[..., Any], tuple[Any, ...]]:
    steps, _, envs = chunk.first.shape
    # Memory runs through all steps, so they stay together.
    numbers = part.size * envs * max(math.prod(seen.shape[3:]) for seen in chunk.observations)
    count = 1 if part.policy.memory_units else number_of_blocks(steps, numbers)

    def of_block(*recorded: Any) -> Any:
        shown, others = recorded[: len(_SEEN_AND_DONE)], recorded[len(_SEEN_AND_DONE) :]
        block = chunk._replace(**dict(zip(_SEEN_AND_DONE, shown, strict=True)))
        return function(views(block, part, as_played=as_played), *others)

    return count, of_block, tuple(getattr(chunk, field) for field in _SEEN_AND_DONE)


def take_envs(chunk: Chunk, envs: Int[Array, " some"]) -> Chunk:
    """The part of a chunk that was played in some of its environments."""
    parts = {
        name: jax.tree.map(lambda leaf, axis=1 if name in ("last", "memory") else 2: jnp.take(leaf, envs, axis), field)
        for name, field in chunk._asdict().items()
    }
    return Chunk(**parts)
