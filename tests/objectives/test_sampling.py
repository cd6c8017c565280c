"""Weighted sampling: who plays how much, and that the objectives stay what they are."""

from collections import defaultdict

import pytest

from rpax.objectives.catalogue import algorithm
from rpax.objectives.plan import distinct, make_plan
from rpax.objectives.sampling import PARTS, weighted

CASES = [
    ("sp", {}),
    ("ad-rpg", {"partner_play": 0.1}),
    ("ad-rpg", {"partner_play": 0.02, "population": 4, "crossplay_weight": 0.5}),
    ("at-rpg", {"partner_play": 0.3, "sides": "single"}),
    ("paired-rpg", {}),
    ("ad", {"crossplay_weight": 0.0}),
]


def objectives(plan):
    """Learner -> (pairing, actor's seat, beneficiary's seat) -> the weight of its mean return in the learner's mean."""
    found = {}
    for terms, pairings in ((plan.base_terms, plan.lookahead_pairings), (plan.outer_terms, plan.outer_pairings)):
        for learner, its in terms.items():
            totals = defaultdict(float)
            for term in its:
                totals[pairings[term.pairing], term.actor_seat, term.beneficiary_seat] += term.weight / len(its)
            found[learner] = dict(totals)
    return found


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_objectives_stay_the_same(name, options):
    plan = make_plan(algorithm(name, **options))
    for learner, expected in objectives(plan).items():
        assert objectives(weighted(plan)[0])[learner] == pytest.approx(expected)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_pairings_play_in_proportion_to_their_weights_and_at_least_a_little(name, options):
    plan = make_plan(algorithm(name, **options))
    spread, parts = weighted(plan)
    assert PARTS % parts == 0
    for field, terms in (("lookahead_pairings", plan.base_terms), ("outer_pairings", plan.outer_terms)):
        pairings, rows = getattr(plan, field), getattr(spread, field)
        assert distinct(rows) == pairings
        weights = [0.0] * len(pairings)
        for term in (term for its in terms.values() for term in its):
            weights[term.pairing] += abs(term.weight)
        for pairing, weight in zip(pairings, weights, strict=True):
            ideal = parts * len(pairings) * weight / sum(weights)
            assert rows.count(pairing) >= 1
            assert abs(rows.count(pairing) - max(parts / PARTS, ideal)) <= 0.5 * parts / PARTS
    assert spread.all_pairings == plan.all_pairings


def test_environments_are_not_divided_further_than_proportions_need():
    alone, parts = weighted(make_plan(algorithm("sp")))
    assert (len(alone.lookahead_pairings), parts) == (1, 1)
    # Weights 0.8 with manipulators and 0.1 + 0.1 without: 6 and 2 of 4 parts, that is 3 and 1 of 2.
    plan, parts = weighted(make_plan(algorithm("ad-rpg", partner_play=0.1, crossplay_weight=0.25)))
    assert parts == 2
    assert (
        sorted(plan.lookahead_pairings.count(pairing) for pairing in set(plan.lookahead_pairings)) == [1] * 4 + [3] * 4
    )
