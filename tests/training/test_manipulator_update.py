"""The manipulator's gradient: the closed form against autodiff through the lookahead, in float64."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.runs.config import TrainConfig
from rpax.training import blocks, manipulator_update, step
from rpax.training.critic_update import init_critics
from rpax.training.initial import initial_state
from rpax.training.lookahead import look_ahead
from rpax.training.problem import Problem, key_data
from rpax.training.setup import make_problem


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def tiny_problem(algorithm: str = "at-rpg", **settings) -> Problem:
    """A few environments of a three-step game, chunks long enough for several episode starts inside them."""
    options = {"partner_play": 0.15} | settings.pop("options", {})
    environment = settings.pop("environment", "extensive/g3")
    defaults = {
        "lookahead_rate": 0.3,
        "envs": 3,
        "steps": 8,
        "discount": 0.9,
        "gae_decay": 0.8,
        "dice_decay": 0.7,
        "precision": "float64",
    }
    config = TrainConfig(algorithm, environment, **(defaults | settings)).complete()
    return make_problem(config, rpax.algorithm(algorithm, **options), rpax.make(environment))


def random_critics(problem: Problem):
    """Critics that are not zero, so that advantages are not just rewards."""
    leaves, structure = jax.tree.flatten(init_critics(problem, key_data(3)))
    keys = jax.random.split(key_data(4), len(leaves))
    drawn = [0.3 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, drawn)


def a_state(problem: Problem, *, used: bool):
    """A fresh state, or one whose base optimisers have already made three steps on random gradients."""
    state = initial_state(problem, key_data(0), exact=False)._replace(critics=random_critics(problem))
    for round_ in range(3 if used else 0):
        for number, name in enumerate(problem.bases):
            leaves, structure = jax.tree.flatten(state.base[name])
            keys = jax.random.split(key_data(100 + 10 * round_ + number), len(leaves))
            drawn = [jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
            parameters, optimizer = problem.base_optimizer.ascend(
                jax.tree.unflatten(structure, drawn), state.base_optimizer[name], state.base[name], 0.05
            )
            state.base[name], state.base_optimizer[name] = parameters, optimizer
    return state


def both_gradients(problem: Problem):
    """A function from a state to each manipulator's gradient by both methods, on the same recorded lookahead."""

    def compute(state):
        ahead, trace = look_ahead(problem, key_data(11), state)
        outer = step.roll_out_manipulator_pairings(problem, key_data(12), ahead, state)
        steering, found = step.outer_gradients_of(problem, ahead, outer), {}
        for method in ("closed-form", "autodiff"):
            numbers = dataclasses.replace(problem.numbers, manipulator_gradient=method)
            with_method = dataclasses.replace(problem, numbers=numbers)
            found[method] = step.manipulator_gradients(with_method, state, trace, steering)
        return found, trace.chunk.first

    return jax.jit(compute)


def relative_error(found, expected) -> float:
    found, expected = (jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(t)]) for t in (found, expected))
    return float(jnp.linalg.norm(found - expected) / jnp.linalg.norm(expected))


def assert_methods_agree(problem: Problem, state, gradients):
    found, first = gradients(state)
    assert np.asarray(first)[:, 1:].any(), "an episode must start inside the chunk"
    assert found["closed-form"].keys() == set(problem.manipulators)
    for name in problem.manipulators:
        autodiff = found["autodiff"][name].gradient
        assert all(float(jnp.linalg.norm(leaf)) > 0 for leaf in jax.tree.leaves(autodiff))
        assert relative_error(found["closed-form"][name].gradient, autodiff) < 1e-12


@pytest.mark.parametrize(("kind", "lookahead"), list(itertools.product(["sgd", "adam"], [1, 2, 3])))
def test_closed_form_equals_autodiff(kind, lookahead):
    """With partner-play, entropy bonuses and pooled normalisation, from a fresh and from a used optimiser."""
    options = {"sides": "single", "partner_play": 0.15}
    bonuses = {"entropy": 0.02, "manipulator_entropy": 0.03}
    problem = tiny_problem("at-rpg", base_optimizer=kind, lookahead=lookahead, options=options, **bonuses)
    gradients = both_gradients(problem)
    for used in (False, True):
        assert_methods_agree(problem, a_state(problem, used=used), gradients)


@pytest.mark.parametrize(
    "settings",
    [
        {"entropy": 0.0, "normalize": False},
        {"network": "mlp", "hidden_sizes": (5,)},
        {"algorithm": "ad-rpg"},
        *[
            pytest.param(settings, marks=pytest.mark.slow)
            for settings in (
                {"options": {"partner_play": 0.0}},
                {"algorithm": "at-rpg", "options": {"sides": "both", "victim_self_play": 0.2}},
                {"algorithm": "paired-rpg", "options": {"antagonist": "adversary"}},
                {"environment": "matrix/figure-14", "steps": 3, "algorithm": "at-rpg"},
            )
        ],
    ],
    ids=str,
)
def test_closed_form_equals_autodiff_in_every_setting(settings):
    problem = tiny_problem(**{"base_optimizer": "adam", "lookahead": 2, "entropy": 0.02} | settings)
    assert_methods_agree(problem, a_state(problem, used=True), both_gradients(problem))


def test_entropy_bonus_is_that_of_all_that_the_manipulator_did_in_the_first_lookahead_step():
    """It adds β_φ ∇_φ H(φ), H being the mean of -Σ π log π over every slot in which the manipulator sits."""
    coefficient, problem = 0.7, tiny_problem("at-rpg", lookahead=2)
    state = a_state(problem, used=False)
    ahead, trace = jax.jit(lambda state: look_ahead(problem, key_data(11), state))(state)

    def gradients(coefficient):
        numbers = dataclasses.replace(problem.numbers, manipulator_entropy=coefficient)
        steered = {name: ahead[problem.shaped_by(name)] for name in problem.manipulators}
        return step.manipulator_gradients(dataclasses.replace(problem, numbers=numbers), state, trace, steered)

    found, without = jax.jit(lambda: (gradients(coefficient), gradients(0.0)))()
    for name in problem.manipulators:

        def mean_entropy(parameters, name=name):
            policy, entropies = problem.policies[name], []
            for number, pairing in enumerate(problem.plan.lookahead_pairings):
                for seat in (0, 1):
                    if pairing[seat] == name:
                        seen = trace.chunk.observations[seat][0][:, number]
                        log = jax.nn.log_softmax(policy.logits(parameters, policy.head_of_seat[seat], seen))
                        entropies.append(-jnp.sum(jnp.exp(log) * log, axis=-1))
            return jnp.mean(jnp.stack(entropies))

        bonus = jax.tree.map(lambda leaf: coefficient * leaf, jax.grad(mean_entropy)(state.manipulators[name]))
        added = jax.tree.map(jnp.subtract, found[name].gradient, without[name].gradient)
        assert relative_error(added, bonus) < 1e-10


@pytest.mark.slow
def test_blocks_of_time_change_nothing(monkeypatch):
    problem = tiny_problem("at-rpg", lookahead=2, entropy=0.02, options={"sides": "single", "partner_play": 0.1})
    state = a_state(problem, used=False)
    whole, _ = both_gradients(problem)(state)
    monkeypatch.setattr(blocks, "MOST_NUMBERS", 1)
    in_blocks, _ = both_gradients(problem)(state)
    for name in problem.manipulators:
        assert relative_error(in_blocks["closed-form"][name].gradient, whole["closed-form"][name].gradient) < 1e-12


def error_when(monkeypatch, problem: Problem, name: str, replacement) -> float:
    """How wrong the closed form becomes when one of its pieces is replaced."""
    state = a_state(problem, used=True)
    monkeypatch.setattr(manipulator_update, name, replacement)
    found, _ = both_gradients(problem)(state)
    return max(
        relative_error(found["closed-form"][manipulator].gradient, found["autodiff"][manipulator].gradient)
        for manipulator in problem.manipulators
    )


def test_the_state_of_the_optimizer_carries_gradient(monkeypatch):
    """Without the adjoint of Adam's moments the gradient is wrong, so the agreement above does test it."""
    through = manipulator_update._through_optimizer

    def without_state(problem, base, record, adjoint):
        zeros = [jnp.zeros_like(leaf) for leaf in adjoint.optimizer]
        return through(problem, base, record, adjoint._replace(optimizer=zeros))

    problem = tiny_problem("at-rpg", base_optimizer="adam", lookahead=3)
    assert error_when(monkeypatch, problem, "_through_optimizer", without_state) > 1e-2


def test_the_curvature_of_the_base_policy_carries_gradient(monkeypatch):
    """Without ∇_θ⟨d, g⟩ (all edges and the entropy term) lookahead beyond one step is wrong."""
    through = manipulator_update._through_gradient

    def without_curvature(*arguments):
        return jax.tree.map(jnp.zeros_like, through(*arguments))

    problem = tiny_problem("at-rpg", base_optimizer="sgd", lookahead=3, entropy=0.02)
    assert error_when(monkeypatch, problem, "_through_gradient", without_curvature) > 1e-4
