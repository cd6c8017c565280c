"""Observations that are stored as the few numbers they are made of.

Most entries of a picture-like observation are constant (walls do not move) or follow from others (the position of an
agent from its facing). An environment may say so: ``observation = matrix · stored + constant``. Training then records
``stored``, and networks whose first layer is linear take it as it is, with ``matrix`` multiplied into that layer's
weights (:mod:`rpax.policies.folding`). What is computed and learned is the same, in a fraction of the memory and time.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Shaped

from rpax.environments.protocol import Environment, Key, Rules, SeatSpace, State, Transition


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
        """The flat observation."""
        matrix = np.zeros((len(self.constant), self.size), np.int32)
        matrix[self.rows, self.columns] = self.coefficients
        return jnp.asarray(stored, jnp.int32) @ matrix.T + self.constant


class EncodedEnvironment(Environment):
    """An environment that shows what is stored of its observations; all else is the environment's own.

    Args:
        environment: one with encodings.
    """

    def __init__(self, environment: Environment) -> None:
        assert environment.encodings is not None, "made for environments with encodings"
        self._environment = environment
        self.name, self.horizon = environment.name, environment.horizon
        self.one_policy_for_both_seats = environment.one_policy_for_both_seats
        spaces = [
            SeatSpace((encoding.size,), space.num_actions, encoding.dtype, space.action_names)
            for space, encoding in zip(environment.spaces, environment.encodings, strict=True)
        ]
        self.spaces = (spaces[0], spaces[1])

    @property
    def traced_rules(self) -> Rules:  # type: ignore[override]
        """The environment's own, traced once for both."""
        return self._environment.traced_rules

    def reset(self, key: Key) -> State:
        """The state in which an episode starts."""
        return self._environment.reset(key)

    def step(self, key: Key, state: State, actions: Int[Array, "2"]) -> Transition:
        """One simultaneous move of both seats."""
        return self._environment.step(key, state, actions)

    def observe(self, state: State) -> tuple[Shaped[Array, " stored_0"], Shaped[Array, " stored_1"]]:
        """What is stored of what both seats see."""
        return self._environment.observe_encoded(state)

    def legal_actions(self, state: State) -> tuple[Bool[Array, " actions_0"], Bool[Array, " actions_1"]] | None:
        """The actions each seat may take."""
        return self._environment.legal_actions(state)
