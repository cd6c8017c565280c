"""Exact mode: gradients against finite differences of a lookahead in plain NumPy, and invariances of whole runs.

The NumPy version knows normal-form games only. Its objectives are lists of terms written down by hand here, its policy
gradients are the closed form ∂(πᵀMσ)/∂logits = π ∘ (Mσ − πᵀMσ), and it never differentiates through anything.
"""

import copy
import dataclasses
import functools
from typing import NamedTuple

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import rpax
from rpax.environments.matrix import normal_form
from rpax.objectives import Objective
from rpax.runs.config import TrainConfig
from rpax.training.exact_step import exact_base_gradients, exact_manipulator_gradient, exact_step
from rpax.training.initial import initial_state
from rpax.training.problem import Problem, key_data
from rpax.training.setup import make_problem

RATES = {"lookahead": 0.7, "manipulator": 1.5, "base": 0.2}
EPSILON, CROSSPLAY, ENTROPY = 0.15, 0.6, 0.05


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def exact_problem(objective: Objective, game, **settings) -> Problem:
    defaults = {"exact": True, "lookahead": 2, "base_optimizer": "sgd"} | {f"{k}_rate": v for k, v in RATES.items()}
    config = TrainConfig(objective.name, game.name, **(defaults | settings)).complete()
    return make_problem(config, objective, game)


# The method in plain NumPy. Logits: agent -> seat -> vector.


class Term(NamedTuple):
    """weight · U_payoff_seat, where the learner (or shaped base) acts in ``seat`` and ``partner`` in the other."""

    weight: float
    partner: str
    seat: int
    payoff_seat: int


class PlainAlgorithm(NamedTuple):
    """Terms of the base agents, and of each manipulator with the base agent it shapes."""

    base: dict[str, list[Term]]
    outer: dict[str, tuple[str, list[Term]]]


AT_RPG = PlainAlgorithm(
    base={
        "victim": [Term(1.0, "adversary", 0, 0)],
        "adversary": [Term(EPSILON, "victim", 1, 1), Term(1 - EPSILON, "manipulator", 1, 1)],
    },
    outer={"manipulator": ("adversary", [Term(-1.0, "victim", 1, 0)])},
)
AD_RPG = PlainAlgorithm(
    base={
        f"base_{i}": [
            Term(weight, partner, seat, seat)
            for seat in (0, 1)
            for weight, partner in (
                (1 - 2 * EPSILON, f"manipulator_{i}"),
                (EPSILON, "base_0"),
                (EPSILON, "base_1"),
            )
        ]
        for i in (0, 1)
    },
    outer={
        f"manipulator_{i}": (
            f"base_{i}",
            [
                Term(weight, partner, seat, seat)
                for seat in (0, 1)
                for weight, partner in ((1.0, f"base_{i}"), (-CROSSPLAY, f"base_{1 - i}"))
            ],
        )
        for i in (0, 1)
    },
)
ALGORITHMS = {
    "at-rpg": (AT_RPG, rpax.algorithm("at-rpg", sides="single", partner_play=EPSILON)),
    "ad-rpg": (AD_RPG, rpax.algorithm("ad-rpg", partner_play=EPSILON, crossplay_weight=CROSSPLAY)),
}


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits)
    return weights / weights.sum()


def payoffs_to_actions(game, term: Term, everyone) -> np.ndarray:
    """What each action of the learner earns on average, Mσ."""
    matrix = game.payoffs[0, :, :, term.payoff_seat]
    partner = softmax(everyone[term.partner][1 - term.seat])
    return term.weight * (matrix @ partner if term.seat == 0 else partner @ matrix)


def plain_objective(game, terms, own, everyone, entropy: float) -> float:
    """Σ weight · U plus the entropy averaged over the agent's seats."""
    total = sum(softmax(own[term.seat]) @ payoffs_to_actions(game, term, everyone) for term in terms)
    entropies = [-softmax(x) @ np.log(softmax(x)) for x in own.values()]
    return total + entropy * np.mean(entropies)


def plain_gradient(game, terms, own, everyone, entropy: float):
    """π ∘ (q − πᵀq) with q = Σ Mσ − (entropy / seats) log π: the constant of the entropy's derivative drops out."""
    found = {}
    for seat, logits in own.items():
        pi = softmax(logits)
        q = sum(payoffs_to_actions(game, term, everyone) for term in terms if term.seat == seat)
        q = q - entropy / len(own) * np.log(pi)
        found[seat] = pi * (q - pi @ q)
    return found


class PlainAdam(NamedTuple):
    """First and second moment and the number of steps made; ``None`` stands for SGD."""

    mean: dict[int, np.ndarray]
    square: dict[int, np.ndarray]
    count: int


def plain_ascent(gradient, moments: PlainAdam | None):
    """The direction of one step: the gradient, or Adam's m̂ / (√(v̂ + ε) + ε) with ε = 1e-5 (Kingma & Ba, 2015)."""
    if moments is None:
        return gradient, None
    mean = {k: 0.9 * moments.mean[k] + 0.1 * g for k, g in gradient.items()}
    square = {k: 0.999 * moments.square[k] + 0.001 * g**2 for k, g in gradient.items()}
    count = moments.count + 1
    direction = {
        k: (mean[k] / (1 - 0.9**count)) / (np.sqrt(square[k] / (1 - 0.999**count) + 1e-5) + 1e-5) for k in gradient
    }
    return direction, PlainAdam(mean, square, count)


def plain_look_ahead(game, algorithm: PlainAlgorithm, base, optimizer, manipulators, steps: int, seen=None):
    """θ^0 … θ^N. What base agents see of one another is θ^k itself, or ``seen[k]`` where that is held constant."""
    trace = [base]
    for k in range(steps):
        everyone = (trace[k] if seen is None else seen[k]) | manipulators
        ahead, following = {}, {}
        for name, own in trace[k].items():
            gradient = plain_gradient(game, algorithm.base[name], own, everyone, ENTROPY)
            direction, following[name] = plain_ascent(gradient, optimizer[name])
            ahead[name] = {seat: logits + RATES["lookahead"] * direction[seat] for seat, logits in own.items()}
        trace.append(ahead)
        optimizer = following
    return trace


def plain_outer(game, algorithm, base, optimizer, manipulators, manipulator: str, steps: int, seen=None) -> float:
    """L^O(θ′(φ)) of one manipulator."""
    shaped, terms = algorithm.outer[manipulator]
    last = plain_look_ahead(game, algorithm, base, optimizer, manipulators, steps, seen)[-1]
    return plain_objective(game, terms, last[shaped], last if seen is None else seen[-1], entropy=0.0)


def central_differences(function, logits, h: float = 1e-5):
    """∂ function / ∂ logits, entry by entry."""
    found = {}
    for seat, vector in logits.items():
        found[seat] = np.zeros_like(vector)
        for number in range(len(vector)):
            ends = []
            for sign in (1, -1):
                moved = copy.deepcopy(logits)
                moved[seat][number] += sign * h
                ends.append(function(moved))
            found[seat][number] = (ends[0] - ends[1]) / (2 * h)
    return found


# Between the two.


def as_logits(tree) -> dict[int, np.ndarray]:
    """An agent's parameters (or gradient, or a moment) as plain logits."""
    return {int(head[-1]): np.array(its["params"]["table"][0]) for head, its in tree.items()}


def all_logits(parameters):
    return {name: as_logits(tree) for name, tree in parameters.items()}


def as_moments(state) -> PlainAdam | None:
    return PlainAdam(as_logits(state.mu), as_logits(state.nu), int(state.count)) if hasattr(state, "mu") else None


def assert_same(found, expected, rtol: float = 1e-6):
    assert found.keys() == expected.keys()
    for seat in expected:
        assert_allclose(found[seat], expected[seat], rtol=rtol, atol=1e-9)


def a_used_state(problem: Problem):
    """Parameters of ordinary size, and for Adam the moments after three real steps."""
    state = initial_state(problem, key_data(1), exact=True)
    leaves, structure = jax.tree.flatten((state.base, state.manipulators))
    rng = np.random.default_rng(2)
    drawn = jax.tree.unflatten(structure, [jnp.asarray(rng.normal(size=leaf.shape)) for leaf in leaves])
    state = state._replace(base=drawn[0], manipulators=drawn[1])
    for name, own in state.base.items():
        parameters, optimizer = own, state.base_optimizer[name]
        for _ in range(3):
            gradient = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), own)
            parameters, optimizer = problem.base_optimizer.ascend(gradient, optimizer, parameters, 0.1)
        state.base[name], state.base_optimizer[name] = parameters, optimizer
    return state


def general_game():
    """2 × 3 actions, own payoffs for each seat, no structure at all."""
    return normal_form("matrix/custom", np.random.default_rng(3).normal(size=(2, 2, 3)))


@pytest.mark.parametrize("name", ["at-rpg", "ad-rpg"])
def test_base_gradients_are_the_finite_differences_of_each_agents_own_objective(name):
    """Other agents, and the agent itself where it is its own partner, are held constant."""
    algorithm, objective = ALGORITHMS[name]
    game = general_game()
    problem = exact_problem(objective, game, entropy=ENTROPY)
    state = a_used_state(problem)
    found = jax.jit(functools.partial(exact_base_gradients, problem))(state.base, state.manipulators)
    base = all_logits(state.base)
    everyone = base | all_logits(state.manipulators)
    for agent, terms in algorithm.base.items():

        def objective_of(own, terms=terms):
            return plain_objective(game, terms, own, everyone, ENTROPY)

        expected = central_differences(objective_of, base[agent])
        assert_same(as_logits(found[agent]), expected)
        assert_same(plain_gradient(game, terms, base[agent], everyone, ENTROPY), expected)


CASES = [
    *[("at-rpg", kind, steps, "shaped") for kind in ("sgd", "adam") for steps in (1, 2, 3)],
    ("at-rpg", "adam", 2, "joint"),
    ("at-rpg", "sgd", 3, "joint"),
    ("ad-rpg", "adam", 2, "shaped"),
    ("ad-rpg", "sgd", 2, "joint"),
]


@pytest.mark.parametrize(("name", "kind", "steps", "influence"), CASES)
def test_the_manipulators_gradient_is_the_finite_difference_through_the_lookahead(name, kind, steps, influence):
    """Shaped: only the shaped agent's own parameters move with φ, what it meets is held at its unperturbed course.

    Joint: everybody's lookahead moves.
    """
    algorithm, objective = ALGORITHMS[name]
    game = general_game()
    problem = exact_problem(objective, game, lookahead=steps, base_optimizer=kind, influence=influence, entropy=ENTROPY)
    state, manipulator = a_used_state(problem), problem.manipulators[-1]
    found = jax.jit(functools.partial(exact_manipulator_gradient, problem, manipulator=manipulator))(state)

    base, manipulators = all_logits(state.base), all_logits(state.manipulators)
    optimizer = {agent: as_moments(its) for agent, its in state.base_optimizer.items()}
    seen = plain_look_ahead(game, algorithm, base, optimizer, manipulators, steps) if influence == "shaped" else None

    def outer(moved):
        everyone = manipulators | {manipulator: moved}
        return plain_outer(game, algorithm, base, optimizer, everyone, manipulator, steps, seen)

    expected = central_differences(outer, manipulators[manipulator])
    assert max(np.abs(g).max() for g in expected.values()) > 1e-3
    assert_same(as_logits(found), expected)


# Invariances of whole runs: 50 updates of everything.

UPDATES = 50


def final_logits(objective: Objective, payoffs, parameters, **settings):
    """The logits of all agents after 50 updates on a normal-form game, from given parameters (agent -> seat -> logits).

    The payoffs are an argument of the compiled program, so one serves all games of a shape.
    """
    tables = {
        name: {f"seat_{seat}": {"params": {"table": jnp.asarray(logits)[None]}} for seat, logits in its.items()}
        for name, its in parameters.items()
    }
    agents = tuple(objective.agents.items())
    run = compiled_run(objective.name, agents, objective.edges, payoffs.shape, tuple(settings.items()))
    return all_logits(run(jnp.asarray(payoffs), tables))


@functools.cache
def compiled_run(name, agents, edges, shape, settings):
    game = normal_form("matrix/custom", np.zeros(shape))
    problem = exact_problem(Objective(dict(agents), edges, name), game, **{"entropy": 0.01} | dict(settings))

    @jax.jit
    def run(payoffs, tables):
        played = copy.copy(game)
        played.payoffs = jnp.moveaxis(payoffs, 0, -1)[None]
        playing = dataclasses.replace(problem, environment=played)
        state = initial_state(problem, key_data(0), exact=True)
        state = state._replace(
            base={name: tables[name] for name in state.base},
            manipulators={name: tables[name] for name in state.manipulators},
        )
        state = jax.lax.fori_loop(0, UPDATES, lambda _, s: exact_step(playing, s)[0], state)
        return {**state.base, **state.manipulators}

    return run


SEATS = {"victim": (0,), "adversary": (1,), "manipulator": (0,)}
BOTH = dict.fromkeys(ALGORITHMS["ad-rpg"][1].agents, (0, 1))
SINGLE = ALGORITHMS["at-rpg"][1]


def random_run(seed: int, seats=SEATS):
    """Payoffs of a 2 × 3 game, and initial logits of every agent in its seats."""
    rng = np.random.default_rng(seed)
    payoffs = rng.normal(size=(2, 2, 3))
    return payoffs, {name: {s: 0.3 * rng.normal(size=2 + s) for s in its} for name, its in seats.items()}


def assert_same_policies(found, expected, tolerance: float = 1e-10):
    assert found.keys() == expected.keys()
    for name, its in expected.items():
        assert found[name].keys() == its.keys()
        for seat in its:
            assert_allclose(softmax(found[name][seat]), softmax(its[seat]), rtol=0, atol=tolerance, err_msg=name)


seeds = st.integers(0, 2**32 - 1)


def test_something_is_learned_in_these_runs():
    """Or the invariances below would hold for nothing: every agent's policy moves."""
    payoffs, parameters = random_run(0)
    final = final_logits(SINGLE, payoffs, parameters)
    for name, its in parameters.items():
        for seat, logits in its.items():
            assert np.abs(softmax(final[name][seat]) - softmax(logits)).max() > 0.05


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(seed=seeds, rows=st.permutations(range(2)), columns=st.permutations(range(3)))
def test_renaming_the_actions_renames_them_in_what_is_learned(seed, rows, columns):
    payoffs, parameters = random_run(seed)
    order = (rows, columns)

    def renamed(logits):
        return {name: {seat: vector[order[seat]] for seat, vector in its.items()} for name, its in logits.items()}

    found = final_logits(SINGLE, payoffs[:, rows][:, :, columns], renamed(parameters))
    assert_same_policies(found, renamed(final_logits(SINGLE, payoffs, parameters)))


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(seed=seeds, shift=st.tuples(st.floats(-5, 5), st.floats(-5, 5)))
def test_adding_a_constant_to_a_seats_payoffs_changes_nothing(seed, shift):
    payoffs, parameters = random_run(seed)
    shifted = payoffs + np.array(shift)[:, None, None]
    assert_same_policies(final_logits(SINGLE, shifted, parameters), final_logits(SINGLE, payoffs, parameters))


def test_scaling_the_payoffs_is_scaling_the_learning_rates():
    """With SGD base and outer gradients grow with the payoffs and the entropy coefficient, while dθ′/dφ is as before
    once α1 has shrunk. So all three rates divided by the scale lead to the same policies.
    """
    scale, (payoffs, parameters) = 3.0, random_run(1)
    slower = {f"{which}_rate": rate / scale for which, rate in RATES.items()}
    found = final_logits(SINGLE, scale * payoffs, parameters, entropy=0.01 * scale, **slower)
    assert_same_policies(found, final_logits(SINGLE, payoffs, parameters))


def with_seats_swapped(objective: Objective) -> Objective:
    edges = [dataclasses.replace(edge, seats=tuple(1 - seat for seat in edge.seats)) for edge in objective.edges]
    return Objective(objective.agents, edges, objective.name)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_swapping_the_seats_of_game_and_edges_swaps_what_is_learned(seed):
    """The game in which seat 0 has the role of seat 1: payoff matrices exchanged and transposed."""
    payoffs, parameters = random_run(seed)

    def swapped(logits):
        return {name: {1 - seat: vector for seat, vector in its.items()} for name, its in logits.items()}

    found = final_logits(with_seats_swapped(SINGLE), payoffs[::-1].transpose(0, 2, 1), swapped(parameters))
    assert_same_policies(found, swapped(final_logits(SINGLE, payoffs, parameters)))


def test_with_both_seats_swapping_the_seats_of_the_game_is_enough():
    """AD-RPG's edges are there for both seats, so they are their own mirror image."""
    payoffs, parameters = random_run(4, BOTH)
    payoffs = payoffs[:, :, :2]  # both seats the same number of actions: one compiled program serves both games
    parameters = {name: {seat: vector[:2] for seat, vector in its.items()} for name, its in parameters.items()}

    def swapped(logits):
        return {name: {1 - seat: vector for seat, vector in its.items()} for name, its in logits.items()}

    objective = ALGORITHMS["ad-rpg"][1]
    found = final_logits(objective, payoffs[::-1].transpose(0, 2, 1), swapped(parameters))
    assert_same_policies(found, swapped(final_logits(objective, payoffs, parameters)))


def test_the_order_of_the_edges_changes_nothing_that_is_learned():
    """Reversed, so that pairings, terms and sums come in another order; Adam would blow up what differs."""
    objective = rpax.algorithm("at-rpg", sides="single", partner_play=EPSILON, victim_self_play=0.2)
    reordered = Objective(objective.agents, objective.edges[::-1], objective.name)
    payoffs, parameters = random_run(6, SEATS | {"victim": (0, 1)})
    found, expected = (final_logits(o, payoffs, parameters, base_optimizer="adam") for o in (reordered, objective))
    assert_same_policies(found, expected)
