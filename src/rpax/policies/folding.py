"""Networks on encoded observations: the encoding's matrix is multiplied into the first layer's weights.

W · (M s + c) + b = (W M) s + (b + W c): a network with a linear first layer sees in the stored numbers s
what it sees in M s + c. Folding is linear in the parameters, so gradients come back by its transpose.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Shaped

from rpax.environments.encoding import Encoding
from rpax.policies.external import Asked
from rpax.policies.networks import GRU, MLP, Uniform

_FIRST_LAYER = "Dense_0"


def can_fold(network: nn.Module) -> bool:
    """Whether the network looks at its observation through one linear layer (or not at all, or has it decoded)."""
    return isinstance(network, MLP | Uniform | Asked) or (isinstance(network, GRU) and bool(network.hidden_sizes))


def first_layer(parameters: dict, observation: Shaped[Array, "*batch features"]) -> Float[Array, "*batch units"]:
    """What the first linear layer makes of an observation, before its activation."""
    layer = parameters["params"][_FIRST_LAYER]
    return observation.astype(layer["kernel"].dtype) @ layer["kernel"] + layer["bias"]


def fold(parameters: dict, *encodings: Encoding) -> dict:
    """A network's parameters for encoded observations; several encodings for observations laid side by side."""
    if _FIRST_LAYER not in parameters.get("params", {}):
        return parameters
    layer = parameters["params"][_FIRST_LAYER]
    kernels, bias, start = [], layer["bias"], 0
    for encoding in encodings:
        rows = layer["kernel"][start : start + len(encoding.constant)]
        kernels.append(_columns(rows, encoding))
        bias = bias + _constant(rows, encoding)
        start += len(encoding.constant)
    folded = {"kernel": jnp.concatenate(kernels), "bias": bias}
    return {**parameters, "params": {**parameters["params"], _FIRST_LAYER: folded}}


def _columns(kernel: Float[Array, "entries units"], encoding: Encoding) -> Float[Array, "stored units"]:
    """Mᵀ · kernel."""
    terms = kernel[encoding.rows] * encoding.coefficients.astype(kernel.dtype)[:, None]
    return jax.ops.segment_sum(terms, encoding.columns, num_segments=encoding.size, indices_are_sorted=True)


def _constant(kernel: Float[Array, "entries units"], encoding: Encoding) -> Float[Array, " units"]:
    """constantᵀ · kernel, of the entries that are not 0."""
    (entries,) = encoding.constant.nonzero()
    return jnp.asarray(encoding.constant[entries], kernel.dtype) @ kernel[entries]
