"""Observations that are stored as the few numbers they are made of.

Most entries of a picture-like observation are constant (walls do not move) or follow from others (the position of an
agent from its facing). An environment may say so: ``observation = matrix · stored + constant``. Training then records
``stored``, and networks whose first layer is linear take it as it is, with ``matrix`` multiplied into that layer's
weights (:mod:`rpax.policies.folding`). What is computed and learned is the same, in a fraction of the memory and time.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Shaped

from rpax.environments.protocol import Environment, SeatSpace, State
from rpax.environments.wrapper import WrappedEnvironment


@dataclasses.dataclass(frozen=True, eq=False)
class Encoding:
    """How one seat's observation (flat, in C order) comes out of what is stored: matrix · stored + constant.

    The matrix is sparse: entry ``coefficients[n]`` stands in row ``rows[n]`` and column ``columns[n]``, by column.

    Attributes:
        rows: entries of the observation.
        columns: stored numbers, ascending.
        coefficients: by what a stored number is multiplied.
        constant: what is added, [entries].
        size: how many numbers are stored.
        dtype: the type in which they are stored.
    """

    rows: Int[np.ndarray, " nonzeros"]
    columns: Int[np.ndarray, " nonzeros"]
    coefficients: Int[np.ndarray, " nonzeros"]
    constant: Int[np.ndarray, " entries"]
    size: int
    dtype: Any

    def decode(self, stored: Shaped[Array, "*batch size"]) -> Shaped[Array, "*batch entries"]:
        """The flat observation, in whole numbers."""
        matrix = np.zeros((len(self.constant), self.size), np.float32)
        matrix[self.rows, self.columns] = self.coefficients
        # Small whole numbers are exact in 32 bit, in which products are many times faster.
        product = jnp.matmul(jnp.asarray(stored, jnp.float32), matrix.T, precision=jax.lax.Precision.HIGHEST)
        return product.astype(jnp.int32) + self.constant


class EncodedEnvironment(WrappedEnvironment):
    """An environment that shows what is stored of its observations; all else is the environment's own.

    Args:
        environment: one with encodings.
    """

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        assert environment.encodings is not None, "made for environments with encodings"
        spaces = [
            SeatSpace((encoding.size,), space.num_actions, encoding.dtype, space.action_names)
            for space, encoding in zip(environment.spaces, environment.encodings, strict=True)
        ]
        self.spaces = (spaces[0], spaces[1])
        self.encodings = None

    def observe(self, state: State) -> tuple[Shaped[Array, " stored_0"], Shaped[Array, " stored_1"]]:
        """What is stored of what both seats see."""
        return self._environment.observe_encoded(state)
