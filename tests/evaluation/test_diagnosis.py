"""A run names its failures: self-sabotage, no influence, unstable shaping."""

import numpy as np
import pytest

import rpax
from rpax.evaluation.diagnosis import Diagnosis, diagnose
from rpax.objectives.plan import make_plan

QUIET = Diagnosis(self_sabotage=False, no_influence=False, unstable=False, notes=())


def look(
    algorithm="at-rpg", environment="matrix/figure-2", *, gaps=None, returns=None, norms=(), influence=(), **options
):
    """The diagnosis of a run whose numbers are made up."""
    history = {"manipulator_gradient_norm": {"manipulator": norms}, "influence": {"manipulator": influence}}
    plan = make_plan(rpax.algorithm(algorithm, **options))
    game = rpax.make(environment) if environment else None
    return diagnose(plan, gaps=gaps or {}, game=game, returns=returns or {}, history=history)


def test_nothing_is_found_where_there_is_nothing():
    assert look() == QUIET
    assert look(norms=[1.0, 2.0, 0.5], influence=[1.0, 2.0, 0.5], gaps={"victim": {0: 0.0}}) == QUIET
    assert look(environment=None, gaps={"victim": {}}) == QUIET


def test_adversarial_training_sabotages_figure_2():
    result = rpax.train("at", "matrix/figure-2", exact=True, base_rate=0.5, updates=400).results[0]
    assert result.policies["adversary"][1][2] > 0.9
    assert result.diagnosis.self_sabotage
    (note,) = result.diagnosis.notes
    assert "adversary in seat 1 is a best response to nobody" in note
    assert "expected of a non-rational adversary" in note


def test_rational_adversarial_training_does_not(trained_at_rpg):
    assert [result.diagnosis for result in trained_at_rpg.results] == [QUIET, QUIET]


def test_adversarial_diversity_sabotages_figure_13():
    result = rpax.train("ad", "matrix/figure-13", exact=True, crossplay_weight=1.0, base_rate=0.5, updates=400).results[
        0
    ]
    assert max(result.policies[name][1][1] for name in ("base_0", "base_1")) > 0.9, "somebody plays D"
    assert result.diagnosis.self_sabotage


def test_a_manipulator_whose_lookahead_does_not_move_has_no_influence():
    result = rpax.train("at-rpg", "matrix/figure-2", exact=True, lookahead_rate=1e-12, updates=3).results[0]
    assert result.diagnosis.no_influence
    assert any(
        "no influence" in note and "manipulator" in note and "raise α1" in note for note in result.diagnosis.notes
    )


def test_sabotage_begins_at_a_quarter_of_the_most_irrational_action():
    # Figure 2: the gap of E is 1.5, so a quarter of it is 0.375.
    assert not look(gaps={"adversary": {1: 0.374}}).self_sabotage
    found = look(gaps={"adversary": {1: 0.376}, "victim": {0: 0.0}})
    assert found.self_sabotage
    assert len(found.notes) == 1
    assert "raise partner-play" in found.notes[0]


def test_where_every_action_is_rational_it_begins_at_a_twentieth_of_the_range_of_payoffs():
    # Rock-paper-scissors: payoffs from -1 to 1. Extensive games: from 0 to 1.
    assert not look(environment="matrix/figure-17", gaps={"victim": {0: 0.099}}).self_sabotage
    assert look(environment="matrix/figure-17", gaps={"victim": {0: 0.101}}).self_sabotage
    assert not look(environment="extensive/g2", gaps={"victim": {0: 0.049}}).self_sabotage
    assert look(environment="extensive/g2", gaps={"victim": {0: 0.051}}).self_sabotage


def cross_play(together: float, alone: float) -> dict[tuple[str, str], tuple[float, float]]:
    pairs = {("base_0", "base_0"): alone, ("base_1", "base_1"): alone}
    pairs |= {("base_0", "base_1"): together, ("base_1", "base_0"): together}
    return {pair: (value, value) for pair, value in pairs.items()}


def test_where_gaps_are_unknown_agents_that_do_well_alone_and_fail_together_sabotage():
    large = {"algorithm": "ad", "environment": None}
    found = look(**large, returns=cross_play(0.09, 1.0))  # below a tenth of self-play
    assert found.self_sabotage
    assert "base_0 with base_1 returns 0.09, each with itself at least 1" in found.notes[0]
    assert look(**large, returns=cross_play(0.11, 1.0)) == QUIET
    # One of the two seatings that goes well is enough.
    one_good_seating = cross_play(0.0, 1.0) | {("base_1", "base_0"): (0.9, 0.9)}
    assert look(**large, returns=one_good_seating) == QUIET
    # Nor is failing alone too.
    assert look(**large, returns=cross_play(0.0, 0.0)) == QUIET


def test_where_gaps_are_known_they_decide():
    # Different conventions fail together too, and are rational.
    assert look("ad", "matrix/figure-13", returns=cross_play(-1.0, 1.0)) == QUIET


def test_influence_is_missing_only_if_it_never_was_there():
    assert look(influence=[1e-9, 1e-8, 0.0]).no_influence
    assert not look(influence=[1e-9, 1e-3, 0.0]).no_influence
    assert not look(influence=[]).no_influence


def test_shaping_is_unstable_where_a_gradient_explodes_or_is_not_finite():
    found = look(norms=[0.1] * 20 + [200.0])
    assert found.unstable
    assert not found.self_sabotage
    assert "lower α2" in found.notes[0]
    assert not look(norms=[0.1] * 20 + [50.0]).unstable
    assert look(norms=[0.1, np.nan]).unstable
    assert look(norms=[0.1, np.inf]).unstable
    assert not look(norms=[]).unstable
    assert not look(norms=[0.0, 0.0, 0.0]).unstable


@pytest.mark.parametrize("tiny", [1e-12, 1e-7])
def test_gradients_that_vanish_are_not_called_unstable(tiny):
    # A median near 0 does not make an ordinary gradient at the start an explosion.
    assert not look(norms=[0.5] + [tiny] * 50).unstable
