"""What an agent is made of: heads, tables, and the order in which its views are put side by side."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rpax.environments.protocol import SeatSpace
from rpax.policies.agent import View, make_agent_policy
from rpax.policies.networks import MLP, Tabular
from rpax.training.problem import key_data

STATES = 3
#: Seats with different numbers of actions, and with the same.
UNEQUAL = (SeatSpace((STATES,), 2), SeatSpace((STATES,), 4))
EQUAL = (SeatSpace((STATES,), 2), SeatSpace((STATES,), 2))


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def softmax(logits) -> np.ndarray:
    weights = np.exp(np.asarray(logits))
    return weights / weights.sum(axis=-1, keepdims=True)


def tables_of(parameters):
    return {head: np.asarray(its["params"]["table"]) for head, its in parameters.items()}


@pytest.mark.parametrize(
    ("spaces", "seats", "shared", "shapes"),
    [
        (UNEQUAL, (0, 1), False, {"seat_0": (STATES, 2), "seat_1": (STATES, 4)}),
        (UNEQUAL, (1,), False, {"seat_1": (STATES, 4)}),
        (EQUAL, (0, 1), True, {"shared": (STATES, 2)}),
        (EQUAL, (1,), True, {"shared": (STATES, 2)}),
    ],
)
def test_an_agent_has_one_head_or_one_for_each_seat_it_plays(spaces, seats, shared, shapes):
    policy = make_agent_policy(spaces, seats, shared=shared, make_network=Tabular)
    assert policy.head_of_seat == {seat: "shared" if shared else f"seat_{seat}" for seat in seats}
    assert {head: table.shape for head, table in tables_of(policy.init(key_data(0))).items()} == shapes


def test_heads_and_keys_start_differently_and_a_key_starts_the_same_way():
    policy = make_agent_policy(EQUAL, (0, 1), shared=False, make_network=Tabular)
    one, again, other = (tables_of(policy.init(key_data(seed))) for seed in (0, 0, 1))
    assert_array_equal(one["seat_0"], again["seat_0"])
    assert not np.isclose(one["seat_0"], one["seat_1"]).any()
    assert not np.isclose(one["seat_0"], other["seat_0"]).any()


@pytest.mark.parametrize("shared", [False, True])
def test_the_table_of_a_tabular_policy_is_the_softmax_of_its_parameters(shared):
    policy = make_agent_policy(EQUAL, (0, 1), shared=shared, make_network=Tabular)
    parameters = policy.init(key_data(1))
    for seat in (0, 1):
        expected = softmax(tables_of(parameters)["shared" if shared else f"seat_{seat}"])
        assert_allclose(policy.table(parameters, seat, jnp.eye(STATES)), expected, rtol=1e-12)


def test_tables_start_at_the_stated_scale():
    """10,000 entries N(0, 0.1²): their standard deviation is within 5 / √20,000 of it, relatively."""
    table = np.asarray(Tabular(100).init(key_data(2), jnp.zeros(100))["params"]["table"])
    assert abs(table.std() / 0.1 - 1) < 5 / np.sqrt(20_000)
    assert abs(table.mean()) < 5 * 0.1 / np.sqrt(10_000)


def test_the_mlp_starts_orthogonal_with_the_stated_scales():
    """WᵀW = scale² · 1 on the smaller side: √2 in the hidden layers, the output scale last; all biases 0."""
    network = MLP(4, hidden_sizes=(7, 5), output_scale=0.01)
    layers = network.init(key_data(3), jnp.zeros(9))["params"]
    assert [layers[f"Dense_{n}"]["kernel"].shape for n in range(3)] == [(9, 7), (7, 5), (5, 4)]
    for number, scale in enumerate((np.sqrt(2), np.sqrt(2), 0.01)):
        kernel = np.asarray(layers[f"Dense_{number}"]["kernel"])
        assert kernel.dtype == np.float64
        assert_allclose(kernel.T @ kernel, scale**2 * np.eye(kernel.shape[1]), atol=1e-12 * scale**2)
        assert_array_equal(layers[f"Dense_{number}"]["bias"], np.zeros(kernel.shape[1]))


def test_the_mlp_is_tanh_inside_and_linear_at_the_end():
    network = MLP(2, hidden_sizes=(6, 3))
    rng = np.random.default_rng(4)
    weights = [(rng.normal(size=shape), rng.normal(size=shape[1])) for shape in ((4, 6), (6, 3), (3, 2))]
    layers = {f"Dense_{n}": {"kernel": jnp.asarray(w), "bias": jnp.asarray(b)} for n, (w, b) in enumerate(weights)}
    seen = rng.integers(0, 2, size=(5, 4))
    hidden = np.tanh(np.tanh(seen @ weights[0][0] + weights[0][1]) @ weights[1][0] + weights[1][1])
    found = network.apply({"params": layers}, jnp.asarray(seen))  # whole numbers are a valid observation
    assert_allclose(found, hidden @ weights[2][0] + weights[2][1], rtol=1e-12)


def random_view(head: str, actions: int, terms: int, seed: int, *, masked: bool) -> View:
    """Four steps of ``terms`` terms in two environments of a game with one-hot states."""
    rng = np.random.default_rng(seed)
    state, action = rng.integers(STATES, size=(4, terms, 2)), rng.integers(actions, size=(4, terms, 2))
    legal = rng.random((4, terms, 2, actions)) < 0.5
    np.put_along_axis(legal, action[..., None], True, axis=-1)
    first = jnp.zeros(action.shape, bool)
    return View(head, jnp.eye(STATES)[state], jnp.asarray(legal) if masked else None, jnp.asarray(action), first)


@pytest.mark.parametrize("masked", [False, True])
def test_log_probabilities_and_entropies_stand_in_the_order_of_the_views(masked):
    """Three views of 2, 1 and 3 terms, each with its own head's table, one step after the other in plain NumPy."""
    policy = make_agent_policy(UNEQUAL, (0, 1), shared=False, make_network=Tabular)
    parameters = policy.init(key_data(5))
    tables = tables_of(parameters)
    recorded = tuple(
        random_view(head, UNEQUAL[seat].num_actions, terms, seed=terms, masked=masked)
        for head, seat, terms in (("seat_1", 1, 2), ("seat_0", 0, 1), ("seat_1", 1, 3))
    )
    log_prob, entropy = np.zeros((4, 6, 2)), np.zeros((4, 6, 2))
    column = 0
    for view in recorded:
        for time, term, env in np.ndindex(*view.action.shape):
            logits = tables[view.head][int(np.argmax(view.observation[time, term, env]))]
            allowed = np.ones(len(logits)) if view.legal is None else np.asarray(view.legal[time, term, env])
            weights = np.exp(logits) * allowed
            p = weights / weights.sum()
            where = (time, column + term, env)
            log_prob[where] = np.log(p[view.action[time, term, env]])
            entropy[where] = -sum(x * np.log(x) for x in p if x > 0)
        column += view.action.shape[1]
    found = policy.evaluate(parameters, recorded)
    assert_allclose(found[0], log_prob, rtol=1e-12, atol=1e-15)
    assert_allclose(found[1], entropy, rtol=1e-12)
