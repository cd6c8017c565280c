"""Entries of an array by indices that are known when the program is built."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int


def take_static(array: Array, indices: Sequence[int] | Int[np.ndarray, " some"], axis: int) -> Array:
    """``array``'s entries at ``indices`` along ``axis``, as slices of neighbours laid side by side.

    XLA copies slices, or fuses them into what follows; on the CPU it would gather element by element.
    """
    runs: list[list[int]] = []
    for index in map(int, indices):
        if runs and index == runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([index, index + 1])
    parts = [jax.lax.slice_in_dim(array, start, stop, axis=axis) for start, stop in runs]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=axis)
