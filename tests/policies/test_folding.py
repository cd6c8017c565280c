"""Networks on encoded observations compute and learn what they do on whole ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from rpax.environments.encoding import Encoding
from rpax.policies.folding import can_fold, fold
from rpax.policies.networks import CNN, GRU, MLP, Tabular, Uniform


def an_encoding(seed: int) -> Encoding:
    """A sparse matrix of 11 × 4 and a constant, both drawn."""
    draw = np.random.default_rng(seed)
    matrix = draw.integers(-2, 3, (11, 4)) * (draw.random((11, 4)) < 0.3)
    columns, rows = matrix.T.nonzero()
    return Encoding(rows, columns, matrix[rows, columns], draw.integers(0, 2, 11), 4, jnp.uint8)


@pytest.mark.parametrize("encodings", [[0], [0, 1]])
@pytest.mark.parametrize("network", [MLP(3, (5,)), MLP(3, ()), Uniform(3)])
def test_outputs_and_gradients_are_those_on_the_whole_observation(network, encodings):
    with jax.enable_x64(True):
        codes = [an_encoding(seed) for seed in encodings]
        stored = [jax.random.randint(jax.random.key(code.size + n), (7, 4), 0, 9) for n, code in enumerate(codes)]
        whole = jnp.concatenate([code.decode(s) for code, s in zip(codes, stored, strict=True)], axis=-1)
        parameters = network.init(jax.random.key(2), whole[0])
        parameters = jax.tree.map(lambda leaf: leaf + 0.1, parameters)
        weights = jax.random.normal(jax.random.key(3), (7, 3))

        def on_stored(p):
            return network.apply(fold(p, *codes), jnp.concatenate(stored, axis=-1))

        assert_allclose(on_stored(parameters), network.apply(parameters, whole), rtol=1e-12)
        found = jax.grad(lambda p: (weights * on_stored(p)).sum())(parameters)
        expected = jax.grad(lambda p: (weights * network.apply(p, whole)).sum())(parameters)
        jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-10, atol=1e-12), found, expected)


@pytest.mark.parametrize("network", [MLP(2), MLP(2, ()), GRU(2), Uniform(2)])
def test_networks_that_start_with_a_linear_layer_fold(network):
    assert can_fold(network)


@pytest.mark.parametrize("network", [CNN(2), Tabular(2), GRU(2, hidden_sizes=())])
def test_other_networks_do_not(network):
    assert not can_fold(network)
