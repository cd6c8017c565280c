"""What must be rolled out for an objective, and who sits where in it."""

import os
import random
import subprocess
import sys

import pytest

from rpax.objectives import ALGORITHMS, Objective, ObjectiveEdge, Pairing, algorithm, make_plan

VARIANTS = [
    *[(name, {}) for name in ALGORITHMS],
    *[(name, {"sides": "single"}) for name in ALGORITHMS if "sides" in ALGORITHMS[name].options],
    ("ad-rpg", {"population": 4}),
    ("at-rpg", {"victim_self_play": 0.1, "sides": "single"}),
    ("paired-rpg", {"antagonist": "adversary"}),
]


def pairs(*written):
    return {Pairing(*pair.split(" ")) for pair in written}


def test_pairings_of_rational_adversarial_diversity_with_two_agents():
    plan = make_plan(algorithm("ad-rpg"))
    outer = pairs("base_0 base_0", "base_0 base_1", "base_1 base_0", "base_1 base_1")
    shaping = pairs("base_0 manipulator_0", "manipulator_0 base_0", "base_1 manipulator_1", "manipulator_1 base_1")
    assert set(plan.lookahead_pairings) == outer | shaping
    assert set(plan.outer_pairings) == outer
    assert (len(plan.lookahead_pairings), len(plan.outer_pairings), len(plan.all_pairings)) == (8, 4, 8)


@pytest.mark.parametrize("population", range(2, 8))
def test_pairings_of_adversarial_diversity_grow_with_the_square_of_the_population(population):
    plan = make_plan(algorithm("ad-rpg", population=population, partner_play=0.05))
    assert len(plan.outer_pairings) == population**2
    assert len(plan.lookahead_pairings) + len(plan.outer_pairings) == 2 * population + 2 * population**2
    assert len(make_plan(algorithm("ad", population=population)).all_pairings) == population**2


@pytest.mark.parametrize(
    ("name", "lookahead", "outer"),
    [
        ("ap", ["victim adversary"], []),
        ("at", ["victim adversary"], []),
        ("ap-rpg", ["victim adversary", "manipulator adversary"], ["victim adversary"]),
        ("at-rpg", ["victim adversary", "manipulator adversary"], ["victim adversary"]),
        ("br", ["base_0 partner"], []),
        ("paired", ["protagonist adversary", "antagonist adversary"], []),
        (
            "paired-rpg",
            ["protagonist adversary", "antagonist adversary", "manipulator adversary"],
            ["protagonist adversary", "antagonist adversary"],
        ),
        (
            "paired-a-rpg",
            ["victim adversary", "antagonist adversary", "manipulator adversary"],
            ["victim adversary", "antagonist adversary"],
        ),
    ],
)
def test_pairings_where_roles_have_seats(name, lookahead, outer):
    single, both = (make_plan(algorithm(name, sides=sides)) for sides in ("single", "both"))
    assert set(single.lookahead_pairings) == pairs(*lookahead)
    assert set(single.outer_pairings) == pairs(*outer)
    turned = {Pairing(*pairing[::-1]) for pairing in single.lookahead_pairings}
    assert set(both.lookahead_pairings) == pairs(*lookahead) | turned
    assert len(both.outer_pairings) == 2 * len(outer)


def test_seats_in_which_an_agent_plays():
    single, both = (make_plan(algorithm("at-rpg", sides=sides)) for sides in ("single", "both"))
    assert {name: single.seats_of(name) for name in single.objective.agents} == {
        "victim": (0,),
        "adversary": (1,),
        "manipulator": (0,),
    }
    assert {both.seats_of(name) for name in both.objective.agents} == {(0, 1)}


def test_terms_of_rational_adversarial_training_with_fixed_seats():
    plan = make_plan(algorithm("at-rpg", sides="single", partner_play=0.2))
    seen = [
        (name, term.weight, pairings[term.pairing], term.actor_seat, term.beneficiary_seat, term.other)
        for terms, pairings in (
            (plan.base_terms, plan.lookahead_pairings),
            (plan.outer_terms, plan.outer_pairings),
        )
        for name in terms
        for term in terms[name]
    ]
    assert seen == [
        ("victim", 1.0, ("victim", "adversary"), 0, 0, "adversary"),
        ("adversary", 0.2, ("victim", "adversary"), 1, 1, "victim"),
        ("adversary", 0.8, ("manipulator", "adversary"), 1, 1, "manipulator"),
        ("manipulator", -1.0, ("victim", "adversary"), 1, 0, "victim"),
    ]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_every_term_seats_its_actor_and_its_beneficiary(name, options):
    plan = make_plan(algorithm(name, **options))
    for terms, pairings in ((plan.base_terms, plan.lookahead_pairings), (plan.outer_terms, plan.outer_pairings)):
        for learner, its_terms in terms.items():
            for term in its_terms:
                edge, pairing = term.edge, pairings[term.pairing]
                assert edge.learner == learner
                assert pairing[term.beneficiary_seat] == edge.beneficiary
                assert pairing[1 - term.beneficiary_seat] == edge.partner
                assert pairing[term.actor_seat] == (edge.shapes or learner)
                assert pairing[1 - term.actor_seat] == term.other
                assert term.weight == edge.weight
            assert [term.actor_seat for term in its_terms] == sorted(term.actor_seat for term in its_terms)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_there_is_one_term_an_edge_and_seat_and_no_idle_pairing(name, options):
    objective = algorithm(name, **options)
    plan = make_plan(objective)
    for terms, pairings in ((plan.base_terms, plan.lookahead_pairings), (plan.outer_terms, plan.outer_pairings)):
        assert {term.pairing for its_terms in terms.values() for term in its_terms} == set(range(len(pairings)))
        assert len(set(pairings)) == len(pairings)
    every_term = [term for terms in (plan.base_terms, plan.outer_terms) for its in terms.values() for term in its]
    assert sorted((str(term.edge), term.beneficiary_seat) for term in every_term) == sorted(
        (str(edge), seat) for edge in objective.edges for seat in edge.seats
    )
    assert tuple(plan.base_terms) == objective.bases
    assert tuple(plan.outer_terms) == objective.manipulators


def test_self_play_acts_and_counts_in_the_same_seat():
    (first, second) = make_plan(algorithm("sp")).base_terms["base_0"]
    assert [(term.actor_seat, term.beneficiary_seat, term.pairing) for term in (first, second)] == [
        (0, 0, 0),
        (1, 1, 0),
    ]


def test_the_order_of_edges_does_not_change_what_is_rolled_out():
    objective = algorithm("ad-rpg", population=3)
    edges = list(objective.edges)
    random.Random(0).shuffle(edges)
    plan, shuffled = make_plan(objective), make_plan(Objective(objective.agents, edges))
    assert shuffled.lookahead_pairings != plan.lookahead_pairings
    assert set(shuffled.lookahead_pairings) == set(plan.lookahead_pairings)
    assert set(shuffled.outer_pairings) == set(plan.outer_pairings)


def test_pairings_come_in_the_order_of_their_first_use():
    edges = [ObjectiveEdge("b", "b", "a", seats=(1, 0)), ObjectiveEdge("a", "a", "b"), ObjectiveEdge("a", "a", "a")]
    plan = make_plan(Objective({"a": "base", "b": "base"}, edges))
    assert plan.lookahead_pairings == (("a", "b"), ("b", "a"), ("a", "a"))


PRINT_PLANS = """
from rpax.objectives import ALGORITHMS, algorithm, make_plan
for name in ALGORITHMS:
    plan = make_plan(algorithm(name))
    print(name, plan.lookahead_pairings, plan.outer_pairings, plan.all_pairings)
    print(plan.base_terms, plan.outer_terms)
"""


def test_plans_do_not_depend_on_hashing():
    printed = [
        subprocess.run(
            [sys.executable, "-c", PRINT_PLANS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    ]
    assert "manipulator_1" in printed[0]
    assert printed[0] == printed[1] == printed[2]
