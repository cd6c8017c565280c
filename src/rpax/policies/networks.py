"""Networks: from an observation batch to logits or values."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Shaped

_INITIAL_LOGIT_SCALE = 0.1


class Tabular(nn.Module):
    """A table with one row for each one-hot observation: logits = observation · table, table entries N(0, scale²).

    With one state it is the softmax parametrisation of a mixed strategy.
    """

    num_outputs: int
    scale: float = _INITIAL_LOGIT_SCALE

    @nn.compact
    def __call__(self, observation: Shaped[Array, "*batch states"]) -> Float[Array, "*batch outputs"]:
        """Look the rows up."""
        shape = (observation.shape[-1], self.num_outputs)
        table = self.param("table", nn.initializers.normal(self.scale), shape)
        return observation.astype(table.dtype) @ table


class MLP(nn.Module):
    """Fully connected layers with tanh between them; orthogonal initialisation (√2 inside, ``output_scale`` last).

    The paper's actor is 64×64 with output scale 0.01, its critic 64×64 with output scale 1.
    """

    num_outputs: int
    hidden_sizes: Sequence[int] = (64, 64)
    output_scale: float = 0.01

    @nn.compact
    def __call__(self, observation: Shaped[Array, "*batch features"]) -> Float[Array, "*batch outputs"]:
        """Apply the layers to the last axis."""
        precision = jnp.result_type(float)
        hidden = jnp.asarray(observation, precision)
        for size in self.hidden_sizes:
            inside = nn.initializers.orthogonal(2**0.5)
            hidden = nn.tanh(nn.Dense(size, kernel_init=inside, param_dtype=precision)(hidden))
        last = nn.initializers.orthogonal(self.output_scale)
        return nn.Dense(self.num_outputs, kernel_init=last, param_dtype=precision)(hidden)
