"""Networks against their definitions, written as loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from rpax.policies.networks import CNN, MLP

ACTIVATIONS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}


def dense(parameters, name, values):
    layer = parameters["params"][name]
    return values @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_mlp_is_its_layers(activation):
    network, act = MLP(3, hidden_sizes=(5, 4), activation=activation), ACTIVATIONS[activation]
    seen = jax.random.randint(jax.random.key(0), (7, 6), -2, 3).astype(jnp.int8)
    parameters = network.init(jax.random.key(1), seen)
    hidden = act(dense(parameters, "Dense_0", np.asarray(seen, np.float32)))
    expected = dense(parameters, "Dense_2", act(dense(parameters, "Dense_1", hidden)))
    np.testing.assert_allclose(network.apply(parameters, seen), expected, atol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_cnn_is_its_convolutions_and_layers(activation):
    network, act = CNN(3, channels=(4, 2), hidden_sizes=(5,), activation=activation), ACTIVATIONS[activation]
    seen = jax.random.randint(jax.random.key(0), (2, 3, 4, 5, 2), 0, 3).astype(jnp.uint8)  # two leading axes
    parameters = network.init(jax.random.key(1), seen)
    images = np.asarray(seen, np.float32).reshape(6, 4, 5, 2)
    for layer in ("Conv_0", "Conv_1"):
        kernel, bias = (np.asarray(parameters["params"][layer][name]) for name in ("kernel", "bias"))
        assert kernel.shape[:2] == (3, 3)
        images = act(
            np.stack(
                [
                    sum(
                        correlate(image[..., i], kernel[..., i, o], mode="same", method="direct")
                        for i in range(image.shape[-1])
                    )
                    + bias[o]
                    for image in images
                    for o in range(len(bias))
                ]
            )
            .reshape(6, len(bias), 4, 5)
            .transpose(0, 2, 3, 1)
        )
    hidden = act(dense(parameters, "Dense_0", images.reshape(6, -1)))
    expected = dense(parameters, "Dense_1", hidden).reshape(2, 3, 3)
    np.testing.assert_allclose(network.apply(parameters, seen), expected, atol=1e-5)


@pytest.mark.parametrize("network", [MLP(3, hidden_sizes=(5,)), CNN(3, channels=(2,), hidden_sizes=(5,))], ids=type)
def test_nothing_seen_is_nothing_said(network):
    one = jnp.zeros((1, 4, 5, 2) if network.takes_images else (1, 6))
    parameters = network.init(jax.random.key(0), one)
    assert network.apply(parameters, jnp.zeros((7, 0, *one.shape[1:]))).shape == (7, 0, 3)
