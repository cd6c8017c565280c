"""The objectives of the baselines, written out edge by edge from their definitions."""

import itertools
from fractions import Fraction

import pytest

from rpax.errors import InputError
from rpax.objectives import Objective, ObjectiveEdge, algorithm, make_plan
from rpax.objectives.files import load_objective, save_objective

BOTH = (0, 1)


def edges_of(objective):
    return {(e.learner, e.beneficiary, e.partner, e.mixed_with): e.weight for e in objective.edges}


@pytest.mark.parametrize("name", ["sp-augmented", "other-play"])
def test_what_only_changes_the_game_is_self_play(name):
    objective = algorithm(name)
    assert objective.agents == {"base_0": "base"}
    assert objective.edges == algorithm("sp").edges


def test_a_sweep_is_independent_self_play():
    objective = algorithm("sp-sweep", entropies=(0.0, 0.5))
    assert objective.agents == {"base_0": "base", "base_1": "base"}
    assert edges_of(objective) == {(name, name, name, None): 1.0 for name in ("base_0", "base_1")}
    assert len(algorithm("sp-sweep").bases) == 3


@pytest.mark.parametrize("population", [2, 5])
def test_fictitious_co_play_is_the_mean_over_its_partners(population):
    objective = algorithm("fcp", population=population)
    expected = {f"partner_{i}_{skill}" for i, skill in itertools.product(range(population), ("first", "half", "last"))}
    assert set(objective.fixed) == expected
    assert objective.bases == ("base_0",)
    share = Fraction(1, 3 * population)
    assert edges_of(objective) == {("base_0", "base_0", name, None): pytest.approx(float(share)) for name in expected}
    assert {edge.seats for edge in objective.edges} == {BOTH}
    assert len(algorithm("fcp").fixed) == 12


def test_each_convention_is_pushed_from_earlier_ones_and_mixed_with_them():
    objective = algorithm("comedi", population=3, crossplay_weight=0.25, mixed_play_weight=2.0)
    assert objective.bases == ("base_0", "base_1", "base_2")
    expected = {("base_0", "base_0", "base_0", None): 1.0}
    for name, earlier in (("base_1", ["base_0"]), ("base_2", ["base_0", "base_1"])):
        expected[name, name, name, None] = 1.0
        for other in earlier:
            expected[name, name, other, None] = -0.25
            expected[name, name, name, other] = 2.0
    assert edges_of(objective) == expected
    assert {edge.seats for edge in objective.edges} == {BOTH}


def test_without_its_weights_every_convention_is_self_play():
    objective = algorithm("comedi", population=2, crossplay_weight=0.0, mixed_play_weight=0.0)
    assert edges_of(objective) == {(name, name, name, None): 1.0 for name in ("base_0", "base_1")}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"entropies": ()}, "is no list"),
        ({"entropies": (0.1, -1)}, "coefficients of at least 0"),
        ({"entropies": (0.1, 0.1)}, "has one twice"),
    ],
)
def test_a_sweep_needs_different_entropies(options, complaint):
    with pytest.raises(InputError, match=complaint):
        algorithm("sp-sweep", **options)


def mixed(learner="a", beneficiary="a", partner="a", mixed_with="b", **more):
    return ObjectiveEdge(learner, beneficiary, partner, 0.5, mixed_with=mixed_with, **more)


def test_mixed_play_is_a_pairing_of_its_own_that_is_not_reported(tmp_path):
    objective = Objective({"a": "base", "b": "fixed"}, [ObjectiveEdge("a", "a", "a"), mixed()])
    plan = make_plan(objective)
    assert plan.all_pairings == (("a", "a"), ("a", "a", "b"))
    assert plan.reported_pairings == (("a", "a"),)
    assert plan.seats_of("b") == BOTH
    assert [len(terms) for terms in plan.base_terms.values()] == [4]
    save_objective(objective, tmp_path / "mixed.yaml")
    assert load_objective(tmp_path / "mixed.yaml").edges == objective.edges
    assert str(objective.edges[1]).endswith("(mixed with b)")


@pytest.mark.parametrize(
    ("edge", "complaint"),
    [
        (mixed(partner="b"), "mixed-play is self-play after a mixture"),
        (mixed(mixed_with="a"), "mixed-play is self-play after a mixture"),
        (mixed(mixed_with="c"), "mixed_with 'c' is not an agent"),
        (mixed(mixed_with="m"), "'m' is a manipulator; mix with a base agent"),
        (mixed(learner="m", shapes="a"), "only a base agent learns from mixed-play"),
        (mixed(beneficiary="b"), "mixed-play is self-play after a mixture"),
    ],
)
def test_what_is_no_mixed_play_is_refused(edge, complaint):
    agents = {"a": "base", "b": "fixed", "m": "manipulator"}
    edges = [
        ObjectiveEdge("a", "a", "m"),
        ObjectiveEdge("a", "a", "b"),
        ObjectiveEdge("m", "a", "b", shapes="a"),
    ]
    with pytest.raises(InputError, match=complaint):
        Objective(agents, [*edges, edge])


def test_whom_to_mix_with_is_a_name():
    with pytest.raises(InputError, match="mixed_with 3 is not a name"):
        mixed(mixed_with=3)
