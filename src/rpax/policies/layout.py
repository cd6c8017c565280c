"""How a tree of arrays is laid out in one vector."""

import dataclasses
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class Layout:
    """One vector for all arrays of a tree, one after the other.

    Attributes:
        structure: of the tree.
        shapes: of its arrays.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, tree: Any, batch_axes: int = 0) -> "Layout":
        """The layout of a tree of arrays, without their first axes."""
        return cls(jax.tree.structure(tree), tuple(leaf.shape[batch_axes:] for leaf in jax.tree.leaves(tree)))

    def pack(self, tree: Any) -> Float[Array, "*batch size"]:
        """The vector of a tree, or of each of a batch: axes before those of the layout."""
        leaves = [
            leaf.reshape(*leaf.shape[: leaf.ndim - len(shape)], -1)
            for leaf, shape in zip(jax.tree.leaves(tree), self.shapes, strict=True)
        ]
        return jnp.concatenate(leaves, axis=-1)

    def unpack(self, vector: Float[Array, "*batch size"]) -> Any:
        """The tree of a vector, or of each of a batch."""
        ends = list(itertools.accumulate(math.prod(shape) for shape in self.shapes))
        parts = jnp.split(vector, ends[:-1], axis=-1)
        batch = vector.shape[:-1]
        leaves = [part.reshape(*batch, *shape) for part, shape in zip(parts, self.shapes, strict=True)]
        return jax.tree.unflatten(self.structure, leaves)
