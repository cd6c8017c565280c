"""Trained best responses: whose partners they play, and in matrix games their closed form."""

import math

import jax
import numpy as np
import pytest
import small_game  # noqa: F401

import rpax
from rpax.evaluation.best_response import (
    Mixture,
    Part,
    best_response_objective,
    best_response_seed,
    measure_gap,
    train_best_response,
    training_mixture,
)
from rpax.evaluation.matches import Estimate, Matches, play_matches
from rpax.objectives import Pairing
from rpax.policies.fixed import resolve_fixed_agent
from rpax.runs.agent import Agent
from rpax.runs.run import no_progress

FIGURE_2 = np.array([[1.0, 0.0, -1.0], [0.0, 1.0, -1.0]])


def parts(mixture):
    return {(part.partner, part.seat): part.weight for part in mixture.parts}


def test_partners_are_those_of_the_own_return_in_their_weights():
    # base_0: U_0(0, M_0): 1 − 2ε, U_0(0, 0): ε, U_0(0, 1): ε, each from both seats; halves, as weights add up to 1.
    mixture = training_mixture(rpax.algorithm("ad-rpg", partner_play=0.1), "base_0")
    assert mixture.own_objective
    assert mixture.seats == (0, 1)
    assert parts(mixture) == {
        (partner, seat): pytest.approx(weight / 2)
        for partner, weight in (("manipulator_0", 0.8), ("base_0", 0.1), ("base_1", 0.1))
        for seat in (0, 1)
    }


def test_edges_of_negative_weight_are_no_training_partners():
    # base_0: U_0(0, 0): 1 and U_0(0, 1): −λ; nobody trains *with* a partner that it is pushed away from.
    assert set(parts(training_mixture(rpax.algorithm("ad"), "base_0"))) == {("base_0", 0), ("base_0", 1)}


def test_the_adversary_of_ap_rpg_plays_with_its_manipulator_and_the_victim():
    mixture = training_mixture(rpax.algorithm("ap-rpg", sides="single", partner_play=0.25), "adversary")
    assert parts(mixture) == {("victim", 1): 0.25, ("manipulator", 1): 0.75}


def test_an_adversary_without_a_return_of_its_own_plays_with_everyone_of_its_edges():
    mixture = training_mixture(rpax.algorithm("paired", sides="single"), "adversary")
    assert not mixture.own_objective
    assert parts(mixture) == {("antagonist", 1): 0.5, ("protagonist", 1): 0.5}


def test_manipulators_have_no_mixture():
    with pytest.raises(rpax.InputError, match="'manipulator' is no base agent of 'at-rpg'; give victim or adversary"):
        training_mixture(rpax.algorithm("at-rpg"), "manipulator")


def test_the_objective_has_one_learner_in_the_seats_of_the_agent():
    objective = best_response_objective(Mixture((Part("a", 0, 0.25), Part("a", 1, 0.25), Part("b", 1, 0.5))))
    assert objective.bases == ("best_response",)
    assert objective.fixed == ("a", "b")
    assert [(edge.partner, edge.seats, edge.weight) for edge in objective.edges] == [
        ("a", (0,), 0.5), ("a", (1,), 0.5), ("b", (1,), 1.0),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def half_trained():
    return rpax.train("at-rpg", "matrix/figure-2", exact=True, updates=60, partner_play=0.3, seed=3)


def test_in_a_matrix_game_the_trained_best_response_reaches_the_closed_form(half_trained):
    found = rpax.certify(half_trained, method="trained", updates=3000).certificates
    assert [entry.agent for entry in found] == ["victim", "adversary"]
    policies = half_trained.results[0].policies
    p, q, m = policies["victim"][0], policies["adversary"][1], policies["manipulator"][0]
    # max_a (U q)_a − pᵀ U q, for the adversary against the mixture 0.3 · victim + 0.7 · manipulator of rows.
    victim_gap = (FIGURE_2 @ q).max() - p @ FIGURE_2 @ q
    rows = (0.3 * p + 0.7 * m) @ FIGURE_2
    adversary_gap = rows.max() - rows @ q
    for entry, expected in zip(found, (victim_gap, adversary_gap), strict=True):
        # From below, and a softmax never quite gets there.
        assert expected - 0.02 <= entry.gap <= expected + 1e-6
        assert entry.measured.difference.half_width == 0
    assert found[1].gap > 0.05
    # The gap against one mixture is never below the one against the kindest co-policy.
    for exact, trained in zip(rpax.certify(half_trained).certificates, found, strict=True):
        assert exact.gap <= trained.gap + 0.02


def test_it_plays_the_partner_as_it_is_whatever_the_examined_run_averaged_over():
    # Exchanging the levers is the game's symmetry: averaged over it the partner is uniform, and everything returns 0.5.
    levers = rpax.make("matrix/custom", payoffs=[[1, 0], [0, 1]])
    config = rpax.train("other-play", levers, exact=True, updates=2).config
    assert config.symmetries
    partner = Agent("partner", *resolve_fixed_agent("partner", [0.9, 0.1], levers, (1,)))
    mixture = Mixture((Part("partner", 0, 1.0),))
    trained = train_best_response(
        config, levers, mixture, {"partner": partner}, seed=0, updates=2000, minutes=None, progress=no_progress
    )
    assert trained.results[0].policies["best_response"][0][0] > 0.95


@pytest.mark.parametrize(
    ("algorithm", "given", "taken"),
    [pytest.param("sp-augmented", None, 0.0, marks=pytest.mark.slow), ("sp", 0.25, 0.25)],
)
def test_exploring_starts_are_taken_over_unless_they_are_what_the_algorithm_is(algorithm, given, taken):
    run = rpax.train(
        algorithm, "small/ring", envs=2, steps=5, updates=1, hidden_sizes=(4,), evaluation_episodes=2,
        exploring_starts=given,
    )  # fmt: skip
    assert run.config.exploring_starts == (0.5 if given is None else given)
    mixture = training_mixture(run.objective, "base_0")
    trained = train_best_response(
        run.config, "small/ring", mixture, run.agents[0], seed=0, updates=1, minutes=None, progress=no_progress
    )
    assert trained.config.exploring_starts == taken


def test_it_does_not_start_where_the_examined_agent_started(monkeypatch):
    # With a rate like this an update leaves the initial parameters as they are.
    settings = {"exact": True, "updates": 1, "network": "mlp", "base_rate": 1e-9, "seed": 0}
    run = rpax.train("ap", "matrix/figure-2", victim=[0.5, 0.5], **settings)
    trained = []

    def note(*arguments, **others):
        trained.append(train_best_response(*arguments, **others))
        return trained[-1]

    monkeypatch.setattr("rpax.evaluation.best_response.train_best_response", note)
    rpax.certify(run, method="trained", updates=1, seed=0)
    rpax.attack([0.5, 0.5], "matrix/figure-2", "ap", **settings)
    of_certify, *of_attack = trained
    examined, fresh = (
        jax.tree.leaves(agent.parameters) for agent in (run.agent("adversary"), of_certify.agent("best_response"))
    )
    assert [np.shape(leaf) for leaf in examined] == [np.shape(leaf) for leaf in fresh]
    assert not all(np.allclose(*leaves, atol=1e-6) for leaves in zip(examined, fresh, strict=True))
    assert len(of_attack) == 2
    assert all(0 < best.config.seed_list[0] < 2**32 for best in of_attack)


def test_seeds_of_best_responses_differ_by_all_they_are_derived_from():
    asked = [(seed, run_seed, number) for seed in (0, 1, 2**32 - 1) for run_seed in (0, 1) for number in (0, 1, 2)]
    assert len({best_response_seed(*arguments) for arguments in asked}) == len(asked)
    assert best_response_seed(3, 4, 5) == best_response_seed(3, 4, 5)


def test_a_best_response_that_is_worse_is_reported_and_bounds_nothing():
    game = rpax.make("matrix/figure-2")
    frozen = {
        name: resolve_fixed_agent(name, table, game, (seat,))
        for name, table, seat in (("good", [1.0, 0.0], 0), ("bad", [0.0, 1.0], 0), ("partner", [0.5, 0.25, 0.25], 1))
    }
    mixture = Mixture((Part("partner", 0, 1.0),))
    gap = measure_gap(game, mixture, frozen["good"], frozen["bad"], {"partner": frozen["partner"]}, episodes=2, seed=0)
    # A: 0.5 − 0.25, B: 0.25 − 0.25.
    assert gap.agent.mean == pytest.approx(0.25)
    assert gap.best_response.mean == pytest.approx(0.0, abs=1e-12)
    assert (gap.difference.mean, gap.bound) == (pytest.approx(-0.25), 0.0)
    assert gap.to_dict()["gap"] == 0.0


def test_seats_of_one_pairing_are_taken_together_and_pairings_apart():
    # Seat 1 gets the negative of seat 0, so that their mean is always 0; the other pairing is independent of it.
    values = np.array([1.0, 2.0, 3.0, 6.0])
    one, two = Pairing("a", "b"), Pairing("b", "a")
    matches = Matches({one: np.stack([values, -values], axis=1), two: np.stack([values, values], axis=1)}, exact=False)
    assert matches.mean_of([(one, 0), (one, 1)]) == Estimate(0.0, 0.0)
    half = 1.96 * np.std(values, ddof=1) / 2
    assert matches.mean_of([(one, 0)]).half_width == pytest.approx(half)
    both = matches.mean_of([(one, 0), (two, 1)])
    assert (both.mean, both.half_width) == (pytest.approx(3.0), pytest.approx(half / math.sqrt(2)))
    apart = Estimate(5.0, 3.0).minus(Estimate(4.0, 8.0), 0.5)
    assert (apart.mean, apart.half_width) == (3.0, 5.0)


def test_played_returns_are_the_returns_of_the_game():
    game = rpax.make("small/ring")
    uniform = {name: resolve_fixed_agent(name, "uniform", game, (0, 1)) for name in "ab"}
    pairing = Pairing("a", "b")
    matches = play_matches(game, uniform, [pairing, pairing], episodes=600, seed=1)
    returns = matches.returns[pairing]
    assert not matches.exact
    assert len(returns) >= 600
    # Both start anywhere and walk at random, so after each of 5 steps they meet with probability 1/5: 3 and 2 each.
    assert np.allclose(returns[:, 0] / 3, returns[:, 1] / 2)
    meetings = matches.estimate({(pairing, 0): 1 / 3})
    assert abs(meetings.mean - 1.0) < 2 * meetings.half_width
