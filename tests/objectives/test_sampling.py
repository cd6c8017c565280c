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
        assert objectives(weighted(plan))[learner] == pytest.approx(expected)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_pairings_play_in_proportion_to_their_weights_and_at_least_a_little(name, options):
    plan = make_plan(algorithm(name, **options))
    spread = weighted(plan)
    for field, terms in (("lookahead_pairings", plan.base_terms), ("outer_pairings", plan.outer_terms)):
        pairings, rows = getattr(plan, field), getattr(spread, field)
        assert distinct(rows) == pairings
        weights = [0.0] * len(pairings)
        for term in (term for its in terms.values() for term in its):
            weights[term.pairing] += abs(term.weight)
        for pairing, weight in zip(pairings, weights, strict=True):
            ideal = PARTS * len(pairings) * weight / sum(weights)
            assert rows.count(pairing) >= 1
            assert abs(rows.count(pairing) - max(1, ideal)) <= 0.5
    assert spread.all_pairings == plan.all_pairings
