"""Networks: from an observation batch to logits or values.

``Tabular``, ``MLP`` and ``GRU`` take flat observations (the last axis), ``CNN`` takes images (the last three).
``memory_units`` is the size of what a recurrent network carries from step to step, 0 for all others.
"""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Shaped

_INITIAL_LOGIT_SCALE = 0.1
Activation = Literal["tanh", "relu"]
_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"tanh": nn.tanh, "relu": nn.relu}


class Tabular(nn.Module):
    """A table with one row for each one-hot observation: logits = observation · table, table entries N(0, scale²).

    With one state it is the softmax parametrisation of a mixed strategy.
    """

    num_outputs: int
    scale: float = _INITIAL_LOGIT_SCALE

    memory_units: ClassVar[int] = 0
    takes_images: ClassVar[bool] = False

    @nn.compact
    def __call__(self, observation: Shaped[Array, "*batch states"]) -> Float[Array, "*batch outputs"]:
        """Look the rows up."""
        shape = (observation.shape[-1], self.num_outputs)
        table = self.param("table", nn.initializers.normal(self.scale), shape)
        return observation.astype(table.dtype) @ table


class Uniform(nn.Module):
    """No parameters: every action is as likely as any other, whatever is seen."""

    num_outputs: int

    memory_units: ClassVar[int] = 0
    takes_images: ClassVar[bool] = False

    @nn.compact
    def __call__(self, observation: Shaped[Array, "*batch features"]) -> Float[Array, "*batch outputs"]:
        """All logits are 0."""
        return jnp.zeros((*observation.shape[:-1], self.num_outputs), jnp.result_type(float))


class MLP(nn.Module):
    """Fully connected layers; orthogonal initialisation (√2 inside, ``output_scale`` last).

    The paper's actor is 64×64 tanh with output scale 0.01 (512×512 ReLU in Hanabi), its critic has output scale 1.
    """

    num_outputs: int
    hidden_sizes: Sequence[int] = (64, 64)
    output_scale: float = 0.01
    activation: Activation = "tanh"

    memory_units: ClassVar[int] = 0
    takes_images: ClassVar[bool] = False

    @nn.compact
    def __call__(
        self, observation: Shaped[Array, "*batch features"], known: Float[Array, "*batch units"] | None = None
    ) -> Float[Array, "*batch outputs"]:
        """Apply the layers to the last axis; ``known`` is what the first one gives, which then is not computed."""
        *batch, features = observation.shape
        # With several leading axes XLA transposes the factors of every gradient of weights before it multiplies them.
        hidden = jnp.asarray(observation, jnp.result_type(float)).reshape(math.prod(batch), features)
        for number, size in enumerate(self.hidden_sizes):
            hidden = _dense(size)(hidden)
            if number == 0 and known is not None:
                hidden = _known(known.reshape(hidden.shape), hidden)
            hidden = _ACTIVATIONS[self.activation](hidden)
        return _dense(self.num_outputs, self.output_scale)(hidden).reshape(*batch, self.num_outputs)


@jax.custom_jvp
def _known(value: Array, computed: Array) -> Array:
    """``value``, which is known to be ``computed``, with its derivatives. Nothing else needs it, so it never is."""
    return value


@_known.defjvp
def _known_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    # Not the value itself, which has no derivatives to be differentiated again.
    return _known(*primals), tangents[1]


class CNN(nn.Module):
    """3×3 convolutions that keep the image's size, then fully connected layers.

    Attributes:
        num_outputs: logits or values.
        channels: of each convolution.
        hidden_sizes: of the fully connected layers.
        output_scale: of the last layer's initialisation.
        activation: after every layer but the last.
    """

    num_outputs: int
    channels: Sequence[int] = (32, 32)
    hidden_sizes: Sequence[int] = (64,)
    output_scale: float = 0.01
    activation: Activation = "relu"

    memory_units: ClassVar[int] = 0
    takes_images: ClassVar[bool] = True

    @nn.compact
    def __call__(self, observation: Shaped[Array, "*batch height width features"]) -> Float[Array, "*batch outputs"]:
        """Apply the layers to the last three axes."""
        precision = jnp.result_type(float)
        *batch, height, width, features = observation.shape
        hidden = jnp.asarray(observation, precision).reshape(math.prod(batch), height, width, features)
        for channels in self.channels:
            inside = nn.initializers.orthogonal(2**0.5)
            hidden = nn.Conv(channels, (3, 3), kernel_init=inside, param_dtype=precision)(hidden)
            hidden = _ACTIVATIONS[self.activation](hidden)
        hidden = hidden.reshape(math.prod(batch), math.prod(hidden.shape[1:]))
        for size in self.hidden_sizes:
            hidden = _ACTIVATIONS[self.activation](_dense(size)(hidden))
        return _dense(self.num_outputs, self.output_scale)(hidden).reshape(*batch, self.num_outputs)


class GRU(nn.Module):
    """Fully connected layers, a gated recurrent unit, and an output layer.

    Attributes:
        num_outputs: logits.
        hidden_sizes: of the fully connected layers before the unit.
        memory_units: what the unit carries from step to step; 0 at the start of an episode.
        output_scale: of the last layer's initialisation.
        activation: after each fully connected layer.
    """

    num_outputs: int
    hidden_sizes: Sequence[int] = (64,)
    memory_units: int = 64
    output_scale: float = 0.01
    activation: Activation = "tanh"

    takes_images: ClassVar[bool] = False

    @nn.compact
    def __call__(
        self, observation: Shaped[Array, "*batch features"], memory: Float[Array, "*batch units"]
    ) -> tuple[Float[Array, "*batch outputs"], Float[Array, "*batch units"]]:
        """One step: outputs, and the memory after it."""
        precision = jnp.result_type(float)
        hidden = jnp.asarray(observation, precision)
        for size in self.hidden_sizes:
            hidden = _ACTIVATIONS[self.activation](_dense(size)(hidden))
        memory, hidden = nn.GRUCell(self.memory_units, param_dtype=precision)(memory, hidden)
        return _dense(self.num_outputs, self.output_scale)(hidden), memory


def _dense(size: int, scale: float = 2**0.5) -> nn.Dense:
    return nn.Dense(size, kernel_init=nn.initializers.orthogonal(scale), param_dtype=jnp.result_type(float))
