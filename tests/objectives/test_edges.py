"""Every rule of objectives is refused with one line that names the edge (or agent), the rule and the remedy."""

import dataclasses
import math

import pytest

from rpax.errors import InputError
from rpax.objectives import Objective, ObjectiveEdge

LEARNS = ObjectiveEdge("a", "a", "b")
SHAPED = ObjectiveEdge("a", "a", "m")
SHAPES = ObjectiveEdge("m", "b", "a", -1.0, shapes="a")
AGENTS = {"a": "base", "b": "fixed"}
SHAPING = {"a": "base", "b": "fixed", "m": "manipulator"}


def test_defaults_of_an_edge():
    edge = ObjectiveEdge("a", "a", "b")
    assert (edge.weight, edge.seats, edge.shapes) == (1.0, (0, 1), None)


@pytest.mark.parametrize(
    ("given", "seats"), [(0, (0,)), (1, (1,)), ([1], (1,)), ([0, 1], (0, 1)), ((1, 0), (1, 0)), (range(2), (0, 1))]
)
def test_seats_become_a_tuple(given, seats):
    assert ObjectiveEdge("a", "a", "b", seats=given).seats == seats


def test_weights_become_floats():
    weight = ObjectiveEdge("a", "a", "b", weight=-1).weight
    assert isinstance(weight, float)
    assert weight == -1.0


def test_an_edge_reads_like_the_table_of_algorithms():
    assert str(ObjectiveEdge("adversary", "victim", "adversary", -1)) == (
        "'adversary: U_victim(victim, adversary) : -1'"
    )
    assert str(SHAPES) == "'m: U_b(b, a) : -1' (shapes a)"


def test_the_actor_is_the_learner_or_the_shaped_base():
    assert LEARNS.actor == "a"
    assert SHAPES.actor == "a"


def test_the_actor_sits_beside_or_opposite_the_beneficiary():
    own, others, self_play = LEARNS, ObjectiveEdge("a", "b", "a"), ObjectiveEdge("a", "a", "a")
    assert [own.actor_seat(seat) for seat in (0, 1)] == [0, 1]
    assert [others.actor_seat(seat) for seat in (0, 1)] == [1, 0]
    assert [SHAPES.actor_seat(seat) for seat in (0, 1)] == [1, 0]
    assert [self_play.actor_seat(seat) for seat in (0, 1)] == [0, 1]


def test_agents_by_role_keep_their_order():
    agents = {"m": "manipulator", "b": "fixed", "z": "base", "a": "base"}
    edges = [ObjectiveEdge("z", "z", "z"), SHAPED, SHAPES]
    objective = Objective(agents, edges)
    assert objective.bases == ("z", "a")
    assert objective.manipulators == ("m",)
    assert objective.fixed == ("b",)
    assert objective.edges_of("a") == (SHAPED,)
    assert objective.shaped_by("m") == "a"
    assert objective.name == "custom"


def test_an_objective_keeps_no_hold_on_what_it_was_given():
    agents, edges = dict(AGENTS), [LEARNS]
    objective = Objective(agents, edges)
    agents["c"] = "base"
    edges.clear()
    assert objective == Objective(AGENTS, [LEARNS])
    with pytest.raises(dataclasses.FrozenInstanceError):
        objective.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("edges", "rational"),
    [
        ([LEARNS], True),
        ([SHAPED, SHAPES], True),
        ([dataclasses.replace(LEARNS, weight=-1.0)], False),
        ([ObjectiveEdge("a", "b", "a")], False),
        ([SHAPED, SHAPES, ObjectiveEdge("a", "b", "a", 0.1)], False),
    ],
)
def test_rationality_is_preserved_where_base_agents_only_raise_their_own_return(edges, rational):
    agents = SHAPING if SHAPES in edges else AGENTS
    assert Objective(agents, edges).preserves_rationality is rational


def refused(build, *parts):
    with pytest.raises(InputError) as caught:
        build()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert isinstance(caught.value, ValueError)


EDGE = "'a: U_a(a, b) : "


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"weight": "heavy"}, ("'a: U_a(a, b) : 'heavy''", "weight 'heavy' is not a number", "1.0 or -0.25")),
        ({"weight": None}, (EDGE, "weight None is not a number", "give one like")),
        ({"weight": 0}, (EDGE, "weight 0.0 must be finite and not 0", "leave out")),
        ({"weight": math.nan}, (EDGE, "weight nan must be finite")),
        ({"weight": math.inf}, (EDGE, "weight inf must be finite")),
        ({"weight": "-inf"}, (EDGE, "weight -inf must be finite")),
        ({"seats": None}, (EDGE, "seats None must be a list", "use [0], [1] or [0, 1]")),
        ({"seats": "01"}, (EDGE, "seats '01' must be a list", "use [0], [1] or [0, 1]")),
        ({"seats": {0, 1}}, (EDGE, "seats {0, 1} must be a list", "use [0], [1] or [0, 1]")),
        ({"seats": []}, (EDGE, "seats [] must be distinct and 0 or 1", "use [0], [1] or [0, 1]")),
        ({"seats": 2}, (EDGE, "seats [2] must be distinct and 0 or 1")),
        ({"seats": (0, 0)}, (EDGE, "seats [0, 0] must be distinct and 0 or 1")),
        ({"seats": ["0"]}, (EDGE, "seats ['0'] must be distinct and 0 or 1")),
    ],
)
def test_what_an_edge_refuses(changes, parts):
    refused(lambda: ObjectiveEdge(**{"learner": "a", "beneficiary": "a", "partner": "b"} | changes), *parts)


OWN = ObjectiveEdge("a", "a", "a")
REFUSED = {
    "agents that are no mapping": (["a"], [OWN], ("agents ['a'] must map names to roles", "{'victim': 'base'}")),
    "a name that is no name": ({"a b": "base"}, [OWN], ("agent 'a b'", "a name starts with a letter", "letters")),
    "a name of two lines": ({"a\nb": "base"}, [OWN], (r"agent 'a\nb'", "a name starts with a letter")),
    "an unknown role": ({"a": "boss"}, [OWN], ("agent 'a'", "role 'boss' is unknown", "use one of base, manipulator")),
    "nobody who learns": ({"b": "fixed"}, [OWN], ("no agent with role 'base'", "add one")),
    "edges of another type": ({"a": "base"}, [("a", "a", "a")], ("is not an ObjectiveEdge", "write ObjectiveEdge(")),
    "an unknown learner": (
        AGENTS,
        [ObjectiveEdge("x", "a", "b")],
        ("'x: U_a(a, b) : +1'", "learner 'x' is not an agent", "known: a, b"),
    ),
    "an unknown beneficiary": (
        {"alice": "base"},
        [ObjectiveEdge("alice", "alise", "alice")],
        ("'alice: U_alise(alise, alice) : +1'", "beneficiary 'alise' is not an agent", "did you mean 'alice'?"),
    ),
    "an unknown partner": (AGENTS, [ObjectiveEdge("a", "a", "x")], ("partner 'x' is not an agent", "known: a, b")),
    "an unknown shaped base": (
        SHAPING,
        [SHAPED, dataclasses.replace(SHAPES, shapes="x")],
        ("'m: U_b(b, a) : -1' (shapes x)", "shapes 'x' is not an agent", "known: a, b, m"),
    ),
    "a fixed agent that learns": (
        AGENTS,
        [LEARNS, ObjectiveEdge("b", "b", "a")],
        ("'b: U_b(b, a) : +1'", "'b' is fixed and cannot learn", "give it the role 'base'"),
    ),
    "a base agent that shapes": (
        AGENTS,
        [ObjectiveEdge("a", "a", "b", shapes="a")],
        ("'a: U_a(a, b) : +1' (shapes a)", "only a manipulator shapes", "drop shapes='a'"),
    ),
    "a learner that does not play": (
        {**AGENTS, "c": "base"},
        [LEARNS, ObjectiveEdge("c", "a", "b")],
        ("'c: U_a(a, b) : +1'", "the learner must be one of the two players", "make it the beneficiary or the partner"),
    ),
    "a manipulator's return as a goal": (
        SHAPING,
        [SHAPED, SHAPES, ObjectiveEdge("a", "m", "a")],
        ("'a: U_m(m, a) : +1'", "a manipulator's return is nobody's goal", "make 'a' the beneficiary"),
    ),
    "a manipulator that shapes nobody": (
        SHAPING,
        [SHAPED, dataclasses.replace(SHAPES, shapes=None)],
        ("'m: U_b(b, a) : -1'", "a manipulator acts through a base agent", "add shapes="),
    ),
    "a fixed agent that is shaped": (
        SHAPING,
        [SHAPED, dataclasses.replace(SHAPES, shapes="b")],
        ("'m: U_b(b, a) : -1' (shapes b)", "shapes 'b' is fixed", "only a base agent can be shaped"),
    ),
    "a manipulator that is shaped": (
        {**SHAPING, "n": "manipulator"},
        [SHAPED, ObjectiveEdge("m", "b", "a", shapes="n")],
        ("(shapes n)", "shapes 'n' is manipulator", "only a base agent can be shaped"),
    ),
    "a shaped base that does not play": (
        {**SHAPING, "c": "base"},
        [SHAPED, ObjectiveEdge("c", "c", "b"), ObjectiveEdge("m", "c", "b", shapes="a")],
        ("'m: U_c(c, b) : +1' (shapes a)", "the shaped base must be one of the two players", "make it"),
    ),
    "a manipulator in a manipulator's objective": (
        SHAPING,
        [SHAPED, ObjectiveEdge("m", "a", "m", shapes="a")],
        ("'m: U_a(a, m) : +1' (shapes a)", "is played by base agents", "replace the manipulator"),
    ),
    "an edge that is there twice": (
        AGENTS,
        [LEARNS, dataclasses.replace(LEARNS, weight=2.0, seats=(1,))],
        ("'a: U_a(a, b) : +2'", "it is there twice for seat 1", "add the two weights into one edge"),
    ),
    "a base agent without a goal": (
        {**AGENTS, "c": "base"},
        [LEARNS],
        ("base agent 'c' has no edge to learn from", "add one with learner='c' or make it fixed"),
    ),
    "a manipulator without a goal": (
        SHAPING,
        [SHAPED, ObjectiveEdge("a", "a", "b")],
        ("manipulator 'm' must shape exactly one base agent, not none", "use one each"),
    ),
    "a manipulator of two base agents": (
        {**SHAPING, "c": "base"},
        [SHAPED, SHAPES, ObjectiveEdge("c", "c", "b"), ObjectiveEdge("m", "b", "c", shapes="c")],
        ("manipulator 'm' must shape exactly one base agent, not a, c", "use one each"),
    ),
    "a manipulator without influence": (
        SHAPING,
        [LEARNS, SHAPES],
        (
            "manipulator 'm' never plays with 'a', so it cannot influence it",
            "add ObjectiveEdge(learner='a', beneficiary='a', partner='m')",
        ),
    ),
    "a fixed agent that never plays": ({**AGENTS, "c": "fixed"}, [LEARNS], ("fixed agent 'c'", "no edge", "remove it")),
}


@pytest.mark.parametrize(("agents", "edges", "parts"), REFUSED.values(), ids=REFUSED)
def test_what_an_objective_refuses(agents, edges, parts):
    refused(lambda: Objective(agents, edges), *parts)


def test_the_same_edge_may_be_there_once_a_seat():
    edges = [dataclasses.replace(LEARNS, seats=(0,)), dataclasses.replace(LEARNS, weight=2.0, seats=(1,))]
    assert Objective(AGENTS, edges).edges == tuple(edges)
