"""The catalogue against the table of algorithms, written out here edge by edge."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpax.errors import InputError
from rpax.objectives import ALGORITHMS, algorithm

ε, λ = 0.15, 0.6
BOTH = (0, 1)
RATIONAL = {"sp", "br", "ap-rpg", "at-rpg", "paired-rpg", "paired-a-rpg", "ad-rpg"}
#: Their edges are in test_baselines.py.
RATIONAL_BASELINES = {"sp-sweep", "sp-augmented", "other-play", "fcp"}

# algorithm -> agents, then edges as (learner, beneficiary, partner, weight, seats with sides="single", shapes).
# The victim's side sits in seat 0, the adversary's in seat 1, a manipulator where its base agent's partner sits.
FIXED_ROLES = {
    "br": (
        {"base_0": "base", "partner": "fixed"},
        {("base_0", "base_0", "partner", 1, (0,), None)},
    ),
    "ap": (
        {"victim": "fixed", "adversary": "base"},
        {("adversary", "victim", "adversary", -1, (0,), None)},
    ),
    "ap-rpg": (
        {"victim": "fixed", "adversary": "base", "manipulator": "manipulator"},
        {
            ("adversary", "adversary", "victim", ε, (1,), None),
            ("adversary", "adversary", "manipulator", 1 - ε, (1,), None),
            ("manipulator", "victim", "adversary", -1, (0,), "adversary"),
        },
    ),
    "at": (
        {"victim": "base", "adversary": "base"},
        {
            ("victim", "victim", "adversary", 1, (0,), None),
            ("adversary", "victim", "adversary", -1, (0,), None),
        },
    ),
    "at-rpg": (
        {"victim": "base", "adversary": "base", "manipulator": "manipulator"},
        {
            ("victim", "victim", "adversary", 1, (0,), None),
            ("adversary", "adversary", "victim", ε, (1,), None),
            ("adversary", "adversary", "manipulator", 1 - ε, (1,), None),
            ("manipulator", "victim", "adversary", -1, (0,), "adversary"),
        },
    ),
    "paired": (
        {"protagonist": "base", "antagonist": "base", "adversary": "base"},
        {
            ("protagonist", "protagonist", "adversary", 1, (0,), None),
            ("antagonist", "antagonist", "adversary", 1, (0,), None),
            ("adversary", "antagonist", "adversary", 1, (0,), None),
            ("adversary", "protagonist", "adversary", -1, (0,), None),
        },
    ),
    "paired-rpg": (
        {"protagonist": "base", "antagonist": "base", "adversary": "base", "manipulator": "manipulator"},
        {
            ("protagonist", "protagonist", "adversary", 1, (0,), None),
            ("antagonist", "antagonist", "adversary", 1, (0,), None),
            ("adversary", "adversary", "protagonist", ε, (1,), None),
            ("adversary", "adversary", "antagonist", ε, (1,), None),
            ("adversary", "adversary", "manipulator", 1 - 2 * ε, (1,), None),
            ("manipulator", "antagonist", "adversary", 1, (0,), "adversary"),
            ("manipulator", "protagonist", "adversary", -1, (0,), "adversary"),
        },
    ),
    "paired-a-rpg": (
        {"victim": "fixed", "antagonist": "base", "adversary": "base", "manipulator": "manipulator"},
        {
            ("antagonist", "antagonist", "adversary", 1, (0,), None),
            ("adversary", "adversary", "victim", ε, (1,), None),
            ("adversary", "adversary", "antagonist", ε, (1,), None),
            ("adversary", "adversary", "manipulator", 1 - 2 * ε, (1,), None),
            ("manipulator", "antagonist", "adversary", 1, (0,), "adversary"),
            ("manipulator", "victim", "adversary", -1, (0,), "adversary"),
        },
    ),
}
BOTH_SEATS_ALWAYS = {
    ("sp", None): (
        {"base_0": "base"},
        {("base_0", "base_0", "base_0", 1, BOTH, None)},
    ),
    ("ad", 2): (
        {"base_0": "base", "base_1": "base"},
        {
            ("base_0", "base_0", "base_0", 1, BOTH, None),
            ("base_0", "base_0", "base_1", -λ, BOTH, None),
            ("base_1", "base_1", "base_1", 1, BOTH, None),
            ("base_1", "base_1", "base_0", -λ, BOTH, None),
        },
    ),
    ("ad", 3): (
        {"base_0": "base", "base_1": "base", "base_2": "base"},
        {
            ("base_0", "base_0", "base_0", 1, BOTH, None),
            ("base_0", "base_0", "base_1", -λ / 2, BOTH, None),
            ("base_0", "base_0", "base_2", -λ / 2, BOTH, None),
            ("base_1", "base_1", "base_0", -λ / 2, BOTH, None),
            ("base_1", "base_1", "base_1", 1, BOTH, None),
            ("base_1", "base_1", "base_2", -λ / 2, BOTH, None),
            ("base_2", "base_2", "base_0", -λ / 2, BOTH, None),
            ("base_2", "base_2", "base_1", -λ / 2, BOTH, None),
            ("base_2", "base_2", "base_2", 1, BOTH, None),
        },
    ),
    ("ad-rpg", 2): (
        {"base_0": "base", "base_1": "base", "manipulator_0": "manipulator", "manipulator_1": "manipulator"},
        {
            ("base_0", "base_0", "manipulator_0", 1 - 2 * ε, BOTH, None),
            ("base_0", "base_0", "base_0", ε, BOTH, None),
            ("base_0", "base_0", "base_1", ε, BOTH, None),
            ("manipulator_0", "base_0", "base_0", 1, BOTH, "base_0"),
            ("manipulator_0", "base_0", "base_1", -λ, BOTH, "base_0"),
            ("base_1", "base_1", "manipulator_1", 1 - 2 * ε, BOTH, None),
            ("base_1", "base_1", "base_0", ε, BOTH, None),
            ("base_1", "base_1", "base_1", ε, BOTH, None),
            ("manipulator_1", "base_1", "base_1", 1, BOTH, "base_1"),
            ("manipulator_1", "base_1", "base_0", -λ, BOTH, "base_1"),
        },
    ),
}


def options_for(name, **more):
    wanted = {"partner_play": ε, "crossplay_weight": λ} | more
    return {key: value for key, value in wanted.items() if key in ALGORITHMS[name].options}


def as_rows(edges):
    return {(e.learner, e.beneficiary, e.partner, round(e.weight, 12), e.seats, e.shapes) for e in edges}


def expected_rows(rows, seats=None):
    return {(*row[:3], round(float(row[3]), 12), seats or row[4], row[5]) for row in rows}


def test_the_table_covers_the_catalogue():
    in_the_table = set(FIXED_ROLES) | {name for name, _ in BOTH_SEATS_ALWAYS}
    assert in_the_table | RATIONAL_BASELINES | {"comedi"} == set(ALGORITHMS)


@pytest.mark.parametrize("name", FIXED_ROLES)
@pytest.mark.parametrize("sides", ["single", "both"])
def test_algorithms_with_roles(name, sides):
    agents, rows = FIXED_ROLES[name]
    objective = algorithm(name, **options_for(name), sides=sides)
    assert dict(objective.agents) == agents
    assert as_rows(objective.edges) == expected_rows(rows, BOTH if sides == "both" else None)
    assert len(objective.edges) == len(rows)
    assert objective.name == name


@pytest.mark.parametrize(("name", "population"), BOTH_SEATS_ALWAYS)
def test_algorithms_whose_agents_play_both_seats(name, population):
    agents, rows = BOTH_SEATS_ALWAYS[name, population]
    objective = algorithm(name, **options_for(name, population=population))
    assert dict(objective.agents) == agents
    assert as_rows(objective.edges) == expected_rows(rows)
    with pytest.raises(InputError, match=f"algorithm '{name}' has no option 'sides'.*always play both seats"):
        algorithm(name, sides="single")


@pytest.mark.parametrize("name", [*FIXED_ROLES, "sp", "ad", "ad-rpg"])
def test_both_seats_is_the_default(name):
    assert {edge.seats for edge in algorithm(name).edges} == {BOTH}


@given(population=st.integers(2, 7), share=st.floats(0.01, 0.99), crossplay_weight=st.floats(0.01, 10))
@settings(deadline=None, max_examples=30)
def test_adversarial_diversity_for_any_population(population, share, crossplay_weight):
    partner_play = share / population
    ad = algorithm("ad", population=population, crossplay_weight=crossplay_weight)
    rpg = algorithm("ad-rpg", population=population, crossplay_weight=crossplay_weight, partner_play=partner_play)
    for i, j in itertools.product(range(population), repeat=2):
        goal = 1.0 if i == j else -crossplay_weight / (population - 1)
        weights = {(e.learner, e.beneficiary, e.partner): e.weight for e in (*ad.edges, *rpg.edges) if e.shapes is None}
        shaping = {(e.learner, e.beneficiary, e.partner): e.weight for e in rpg.edges if e.shapes == f"base_{i}"}
        assert shaping[f"manipulator_{i}", f"base_{i}", f"base_{j}"] == pytest.approx(goal)
        assert weights[f"base_{i}", f"base_{i}", f"base_{j}"] == pytest.approx(partner_play)
        assert weights[f"base_{i}", f"base_{i}", f"manipulator_{i}"] == pytest.approx(1 - population * partner_play)
    assert len(ad.edges) == population**2
    assert len(rpg.edges) == 2 * population**2 + population


def total_weight(objective, learner):
    return sum(edge.weight for edge in objective.edges_of(learner))


@pytest.mark.parametrize("name", sorted(RATIONAL))
@pytest.mark.parametrize("partner_play", [0.0, 0.05, 0.3])
def test_base_agents_of_rational_algorithms_spread_a_weight_of_one(name, partner_play):
    objective = algorithm(name, **options_for(name, partner_play=partner_play))
    for base in objective.bases:
        assert total_weight(objective, base) == pytest.approx(1)


@pytest.mark.parametrize("name", ["paired", "paired-rpg", "paired-a-rpg"])
def test_regret_weighs_nothing_in_sum(name):
    learner = "adversary" if name == "paired" else "manipulator"
    assert total_weight(algorithm(name), learner) == 0


def test_exactly_the_rational_algorithms_preserve_rationality():
    assert {name for name in ALGORITHMS if algorithm(name).preserves_rationality} == RATIONAL | RATIONAL_BASELINES


@pytest.mark.parametrize("name", ["ap-rpg", "at-rpg", "paired-rpg", "paired-a-rpg", "ad-rpg"])
def test_without_partner_play_only_the_manipulator_is_a_partner_of_the_shaped_base(name):
    objective = algorithm(name, partner_play=0)
    for manipulator in objective.manipulators:
        (edge,) = objective.edges_of(objective.shaped_by(manipulator))
        assert (edge.partner, edge.weight) == (manipulator, 1.0)


def test_a_crossplay_weight_of_zero_leaves_self_play():
    objective = algorithm("ad", crossplay_weight=0)
    assert as_rows(objective.edges) == {(b, b, b, 1.0, BOTH, None) for b in ("base_0", "base_1")}


@pytest.mark.parametrize(("name", "role"), [("at", "victim"), ("at-rpg", "victim"), ("paired", "protagonist")])
def test_victims_may_play_with_themselves(name, role):
    edges = algorithm(name, victim_self_play=0.2, sides="single").edges_of(role)
    assert as_rows(edges) == {(role, role, "adversary", 0.8, (0,), None), (role, role, role, 0.2, BOTH, None)}


def test_the_adversary_may_be_its_own_antagonist():
    paired = algorithm("paired", antagonist="adversary", sides="single")
    assert dict(paired.agents) == {"protagonist": "base", "adversary": "base"}
    assert as_rows(paired.edges) == {
        ("protagonist", "protagonist", "adversary", 1.0, (0,), None),
        ("adversary", "adversary", "adversary", 1.0, (0,), None),
        ("adversary", "protagonist", "adversary", -1.0, (0,), None),
    }
    rational = algorithm("paired-rpg", antagonist="adversary", partner_play=0.25)
    assert as_rows(rational.edges) == {
        ("protagonist", "protagonist", "adversary", 1.0, BOTH, None),
        ("adversary", "adversary", "protagonist", 0.25, BOTH, None),
        ("adversary", "adversary", "adversary", 0.25, BOTH, None),
        ("adversary", "adversary", "manipulator", 0.5, BOTH, None),
        ("manipulator", "adversary", "adversary", 1.0, BOTH, "adversary"),
        ("manipulator", "protagonist", "adversary", -1.0, BOTH, "adversary"),
    }


@pytest.mark.parametrize(("alias", "name"), [("xpd", "ad"), ("xpd-rpg", "ad-rpg")])
def test_the_names_of_the_camera_ready_paper(alias, name):
    assert algorithm(alias, population=3) == algorithm(name, population=3)


@pytest.mark.parametrize(
    ("name", "partner_play", "partners"),
    [("ap-rpg", 1 - 1e-12, 1), ("paired-rpg", 0.5, 2), ("paired-a-rpg", 0.7, 2), ("at-rpg", 1 - 1e-10, 1)],
)
def test_partner_play_must_leave_weight_for_the_manipulator(name, partner_play, partners):
    with pytest.raises(InputError, match=f"partner_play {partner_play}.* leaves no weight .*less than 1/{partners} = "):
        algorithm(name, partner_play=partner_play)


@pytest.mark.parametrize("population", range(2, 12))
def test_partner_play_must_leave_weight_in_any_population(population):
    with pytest.raises(InputError, match=f"beside {population} partners; use less than 1/{population} = "):
        algorithm("ad-rpg", population=population, partner_play=1 / population)
    assert algorithm("ad-rpg", population=population, partner_play=0.99 / population).preserves_rationality


@pytest.mark.parametrize(
    ("name", "options", "parts"),
    [
        ("at-rgp", {}, ("algorithm 'at-rgp' is unknown", "did you mean 'at-rpg'?")),
        ("xpd-rgp", {}, ("algorithm 'xpd-rgp' is unknown", "did you mean 'xpd-rpg'?")),
        ("zzz", {}, ("algorithm 'zzz' is unknown", "known: sp, br, ap")),
        ("at", {"partner_play": 0.1}, ("'at' has no option 'partner_play'", "it takes sides, victim_self_play")),
        ("sp", {"population": 3}, ("'sp' has no option 'population'", "it takes none")),
        ("at", {"sides": "left"}, ("sides 'left' is unknown", "use single or both")),
        ("paired", {"antagonist": "x"}, ("antagonist 'x' is unknown", "use separate or adversary")),
        ("at-rpg", {"partner_play": -0.1}, ("partner_play -0.1 is out of range", "0 <= ε < 1")),
        ("at-rpg", {"partner_play": math.nan}, ("partner_play nan is out of range", "0 <= ε < 1")),
        ("at-rpg", {"partner_play": True}, ("partner_play True is out of range", "0 <= ε < 1")),
        ("at-rpg", {"partner_play": "0.1"}, ("partner_play '0.1' is out of range", "0 <= ε < 1")),
        ("at", {"victim_self_play": 1}, ("victim_self_play 1 is out of range", "0 <= weight < 1")),
        ("ad", {"crossplay_weight": -1}, ("crossplay_weight -1 is out of range", "λ >= 0")),
        ("ad", {"crossplay_weight": math.inf}, ("crossplay_weight inf is out of range", "λ >= 0")),
        ("ad", {"population": 1}, ("population 1 must be a whole number", "at least 2")),
        ("ad", {"population": 2.0}, ("population 2.0 must be a whole number", "at least 2")),
        ("ad", {"population": True}, ("population True must be a whole number", "at least 2")),
    ],
)
def test_what_the_catalogue_refuses(name, options, parts):
    with pytest.raises(InputError) as caught:
        algorithm(name, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
