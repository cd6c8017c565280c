"""What first layers gave in play is kept for gradients, which are the same as without."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_game import Ring

import rpax
from rpax.objectives.plan import Pairing
from rpax.policies.agent import make_agent_policy
from rpax.policies.networks import Uniform
from rpax.runs.config import TrainConfig
from rpax.training import rollout
from rpax.training.initial import initial_state
from rpax.training.parts import Part, views
from rpax.training.problem import key_data
from rpax.training.rollout import forget_first_layers, roll_out, start_streams
from rpax.training.setup import make_problem

PAIRINGS = (Pairing("base_0", "manipulator_0"), Pairing("base_1", "base_0"))
#: Of base_0.
SLOTS = ((0, 0), (1, 1))


@pytest.fixture(scope="module")
def problem():
    config = TrainConfig("ad-rpg", "small/ring", hidden_sizes=(6, 5), activation="relu", base_update="pg")
    return make_problem(config.complete(tabular=False), rpax.algorithm("ad-rpg"), Ring())


def play(problem, parameters, **policies):
    streams = start_streams(problem.stage, key_data(1), len(PAIRINGS), 3)
    return roll_out(problem.stage, problem.players | policies, parameters, PAIRINGS, key_data(2), streams, 4)[0]


@pytest.fixture(scope="module")
def played(problem):
    state = initial_state(problem, key_data(0), exact=False)
    parameters = {**state.base, **state.manipulators}
    return parameters, play(problem, parameters)


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

    def both(recorded):
        def total(parameters):
            log_prob, entropy = part.policy.evaluate(parameters, views(recorded, part))
            return jnp.sum(jnp.sin(jnp.arange(log_prob.size)).reshape(log_prob.shape) * log_prob) + entropy.sum()

        return jax.value_and_grad(total)(folded), jax.grad(lambda p: jax.jvp(total, (p,), (along,))[1])(folded)

    with_them, without = both(chunk), both(forget_first_layers(chunk))
    for one, other in zip(jax.tree.leaves(with_them), jax.tree.leaves(without), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        assert np.any(np.asarray(other) != 0) or other.size == 3, "curvature leaves the last bias alone at most"


def test_they_are_used(problem, played):
    """Kept numbers that are wrong change what is found."""
    parameters, chunk = played
    part = Part.of(problem.players["base_0"], SLOTS)
    folded = part.policy.fold(parameters["base_0"])
    wrong = chunk._replace(first_layers=tuple(kept + 1 for kept in chunk.first_layers))
    (right, _), (changed, _) = (part.policy.evaluate(folded, views(its, part)) for its in (chunk, wrong))
    assert np.abs(right - changed).max() > 1e-4


def test_they_are_not_kept_of_networks_that_differ_or_of_chunks_that_are_too_large(problem, played, monkeypatch):
    parameters, chunk = played
    of_two_seats = 2 * chunk.first.size * 6 * 4
    monkeypatch.setattr(rollout, "MOST_BYTES_OF_FIRST_LAYERS", of_two_seats)
    assert play(problem, parameters).first_layers is not None
    monkeypatch.setattr(rollout, "MOST_BYTES_OF_FIRST_LAYERS", of_two_seats - 1)
    assert play(problem, parameters).first_layers is None
    monkeypatch.undo()
    policy = make_agent_policy(problem.stage.spaces, (0, 1), shared=True, make_network=Uniform)
    with_uniform = parameters | {"manipulator_0": policy.init(jax.random.key(0))}
    assert play(problem, with_uniform, manipulator_0=policy).first_layers is None
