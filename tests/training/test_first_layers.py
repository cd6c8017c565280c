"""What first layers gave in play is kept for gradients, which are the same as without."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_game import Ring

import rpax
from rpax.objectives.plan import Pairing
from rpax.policies.agent import make_agent_policy
from rpax.policies.networks import MLP, Uniform
from rpax.runs.config import TrainConfig
from rpax.training import blocks, first_layers
from rpax.training.first_layers import has_room_for_first_layers
from rpax.training.initial import initial_state
from rpax.training.parts import Part, views
from rpax.training.problem import key_data
from rpax.training.rollout import roll_out, start_streams
from rpax.training.setup import make_problem
from rpax.training.step import step

PAIRINGS = (Pairing("base_0", "manipulator_0"), Pairing("base_1", "base_0"))
#: Of base_0.
SLOTS = ((0, 0), (1, 1))


@pytest.fixture(scope="module")
def problem():
    config = TrainConfig("ad-rpg", "small/ring", hidden_sizes=(6, 5), activation="relu", base_update="pg")
    return make_problem(config.complete(tabular=False), rpax.algorithm("ad-rpg"), Ring())


@pytest.fixture(scope="module")
def played(problem):
    state = initial_state(problem, key_data(0), exact=False)
    parameters = {**state.base, **state.manipulators}
    streams = start_streams(problem.stage, key_data(1), len(PAIRINGS), 3)
    chunk, _ = roll_out(
        problem.stage, problem.players, parameters, PAIRINGS, key_data(2), streams, 4, keep_first_layers=True
    )
    return parameters, chunk


def test_they_are_linear_in_the_observations_as_the_environment_shows_them(problem, played):
    parameters, chunk = played
    for seat, encoding in enumerate(problem.encodings):
        for place, pairing in enumerate(PAIRINGS):
            layer = parameters[pairing[seat]]["shared"]["params"]["Dense_0"]
            seen = np.asarray(encoding.decode(chunk.observations[seat][:, place]), np.float32)
            expected = seen @ layer["kernel"] + layer["bias"]
            np.testing.assert_allclose(chunk.first_layers[seat][:, place], expected, atol=1e-6)


def test_probabilities_and_all_their_derivatives_are_those_without_them(problem, played):
    """First derivatives, and derivatives of those along a direction, as longer lookaheads need them."""
    parameters, chunk = played
    part = Part.of(problem.players["base_0"], SLOTS)
    folded = part.policy.fold(parameters["base_0"])
    along = jax.tree.map(lambda leaf: jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape).astype(leaf.dtype), folded)

    def both(as_played):
        def total(parameters):
            log_prob, entropy = part.policy.evaluate(parameters, views(chunk, part, as_played=as_played))
            return jnp.sum(jnp.sin(jnp.arange(log_prob.size)).reshape(log_prob.shape) * log_prob) + entropy.sum()

        return jax.value_and_grad(total)(folded), jax.grad(lambda p: jax.jvp(total, (p,), (along,))[1])(folded)

    with_them, without = both(True), both(False)
    for one, other in zip(jax.tree.leaves(with_them), jax.tree.leaves(without), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        assert np.any(np.asarray(other) != 0) or other.size == 3, "curvature leaves the last bias alone at most"


def test_they_are_used(problem, played):
    """Kept numbers that are wrong change what is found."""
    parameters, chunk = played
    part = Part.of(problem.players["base_0"], SLOTS)
    folded = part.policy.fold(parameters["base_0"])
    wrong = chunk._replace(first_layers=tuple(kept + 1 for kept in chunk.first_layers))
    (right, _), (changed, _) = (
        part.policy.evaluate(folded, views(its, part, as_played=True)) for its in (chunk, wrong)
    )
    assert np.abs(right - changed).max() > 1e-4
    computed = part.policy.evaluate(folded, views(wrong, part))[0]
    np.testing.assert_allclose(computed, right, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"base_update": "pg", "lookahead": 2, "entropy": 0.02},
        pytest.param(
            {"base_update": "ppo", "lookahead": 1, "ppo_epochs": 3, "ppo_minibatches": 2}, marks=pytest.mark.slow
        ),
    ],
    ids=["two lookahead steps", "ppo"],
)
def test_an_update_is_the_same_with_and_without_them(settings, monkeypatch):
    """In blocks of one step. After PPO's first minibatch its parameters are not those that played."""
    monkeypatch.setattr(blocks, "MOST_NUMBERS", 1)
    sizes = {"hidden_sizes": (6, 5), "activation": "relu", "envs": 4, "steps": 4, "base_epsilon_root": 1e-5}
    sizes |= {"base_rate": 0.05, "manipulator_rate": 0.05}
    config = TrainConfig("ad-rpg", "small/ring", **sizes, **settings).complete(tabular=False)
    problem = make_problem(config, rpax.algorithm("ad-rpg"), Ring())
    state = initial_state(problem, key_data(0), exact=False)

    def after(keep):
        return jax.jit(functools.partial(step, dataclasses.replace(problem, keep_first_layers=keep)))(state)[0]

    with_them, without = after(True), after(False)
    for learners in ("base", "manipulators", "critics"):
        changed = [getattr(one, learners) for one in (with_them, without)]
        jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=2e-5), *changed)
    moved = jax.tree.map(lambda new, old: np.abs(new - old).max(), without.base, state.base)
    assert max(jax.tree.leaves(moved)) > 1e-3


def test_there_is_room_for_all_of_an_update_and_all_seeds(problem, monkeypatch):
    numbers = dataclasses.replace(problem.numbers, lookahead=3, envs=4, steps=5)
    problem = dataclasses.replace(problem, numbers=numbers)
    # Eight pairings in each of three lookahead steps, four in the outer one; two seats, 6 units of 4 bytes, two seeds.
    size = (3 * 8 + 4) * 4 * 5 * 2 * 6 * 4 * 2
    monkeypatch.setattr(first_layers, "MOST_BYTES", size)
    assert has_room_for_first_layers(problem, seeds=2)
    assert not has_room_for_first_layers(problem, seeds=3)
    monkeypatch.setattr(first_layers, "MOST_BYTES", size - 1)
    assert not has_room_for_first_layers(problem, seeds=2)


def test_networks_without_a_first_layer_or_with_different_ones_keep_nothing(problem):
    def with_network(make_network):
        policy = make_agent_policy(problem.stage.spaces, (0, 1), shared=True, make_network=make_network)
        return dataclasses.replace(problem, policies={**problem.policies, "manipulator_0": policy})

    assert has_room_for_first_layers(with_network(functools.partial(MLP, hidden_sizes=(6, 4))), seeds=1)
    for make_network in (Uniform, functools.partial(MLP, hidden_sizes=(7, 5)), functools.partial(MLP, hidden_sizes=())):
        assert not has_room_for_first_layers(with_network(make_network), seeds=1)
