"""Objectives as YAML: what is written is read back, and what is wrong is named."""

import pathlib
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpax.errors import InputError
from rpax.objectives import ALGORITHMS, Objective, ObjectiveEdge, algorithm, load_objective, save_objective
from rpax.objectives.files import objective_from_dict, objective_to_dict

VALID = """
name: my-attack
agents: {victim: fixed, adversary: base}
edges:
  - {learner: adversary, beneficiary: victim, partner: adversary, weight: -1, seats: [0]}
"""


def there_and_back(objective):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "other-name.yaml"
        save_objective(objective, path)
        return load_objective(path)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_survives_the_way_through_a_file(name):
    objective = algorithm(name)
    again = there_and_back(objective)
    assert again == objective
    assert list(again.agents) == list(objective.agents)


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if "sides" in ALGORITHMS[name].options])
def test_so_do_algorithms_with_fixed_seats(name):
    objective = algorithm(name, sides="single")
    assert there_and_back(objective) == objective


weights = st.floats(allow_nan=False, allow_infinity=False).filter(bool)
seats = st.sampled_from([(0,), (1,), (0, 1), (1, 0)])
words = st.sampled_from(["yes", "no", "on", "off", "null", "true", "y", "n", "e3", "inf", "NaN", "a-b", "a_1"])
names = words | st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,12}", fullmatch=True)


@st.composite
def objectives(draw):
    drawn = draw(st.lists(names, min_size=3, max_size=7, unique=True))
    bases = drawn[: draw(st.integers(1, 2))]
    fixed = drawn[2 : draw(st.integers(2, 3))]
    manipulators = drawn[3:]
    shaped = {manipulator: draw(st.sampled_from(bases)) for manipulator in manipulators}
    edges = [ObjectiveEdge(base, base, draw(st.sampled_from(bases)), draw(weights), draw(seats)) for base in bases]
    edges += [ObjectiveEdge(bases[0], bases[0], other, draw(weights), draw(seats)) for other in fixed]
    for manipulator, base in shaped.items():
        other = draw(st.sampled_from([*bases, *fixed]))
        players = draw(st.permutations([base, other]))
        edges.append(ObjectiveEdge(base, base, manipulator, draw(weights), draw(seats)))
        edges.append(ObjectiveEdge(manipulator, *players, draw(weights), draw(seats), shapes=base))
    agents = dict.fromkeys(bases, "base") | dict.fromkeys(fixed, "fixed") | dict.fromkeys(shaped, "manipulator")
    order = draw(st.permutations(list(agents)))
    name = draw(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20))
    return Objective({agent: agents[agent] for agent in order}, draw(st.permutations(edges)), name)


@given(objectives())
@settings(deadline=None, max_examples=60)
def test_any_objective_survives_the_way_through_a_file(objective):
    again = there_and_back(objective)
    assert again == objective
    assert list(again.agents) == list(objective.agents)


@pytest.mark.parametrize("name", ["1e3", "0E0", "-1e-3", ".5e+2", "1.0", "yes", "null", "~", "2026-01-01"])
def test_a_name_that_looks_like_something_else_stays_a_name(name):
    assert there_and_back(Objective({"a": "base"}, [ObjectiveEdge("a", "a", "a")], name)).name == name


@given(objectives())
@settings(deadline=None, max_examples=30)
def test_any_objective_survives_as_plain_data(objective):
    assert objective_from_dict(objective_to_dict(objective)) == objective


def write(tmp_path, text):
    path = tmp_path / "attack.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_written_by_hand(tmp_path):
    edge = ObjectiveEdge("adversary", "victim", "adversary", -1.0, (0,))
    expected = Objective({"victim": "fixed", "adversary": "base"}, [edge], "my-attack")
    assert load_objective(write(tmp_path, VALID)) == expected
    assert load_objective(str(write(tmp_path, VALID))) == expected


def test_the_file_gives_the_name_where_none_is_written(tmp_path):
    assert load_objective(write(tmp_path, VALID.replace("name: my-attack", ""))).name == "attack"


def test_weight_seats_and_shapes_have_defaults(tmp_path):
    path = write(tmp_path, "agents: {b: base}\nedges: [{learner: b, beneficiary: b, partner: b}]")
    assert load_objective(path).edges == (ObjectiveEdge("b", "b", "b", 1.0, (0, 1), None),)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (VALID.replace("agents:", "agent:"), ("key 'agent' is unknown", "did you mean 'agents'?")),
        (VALID.replace("weight:", "wieght:"), ("edge 0: key 'wieght' is unknown", "did you mean 'weight'?")),
        (VALID.replace("seats:", "seat:"), ("edge 0: key 'seat' is unknown", "did you mean 'seats'?")),
        (VALID.replace("seats:", "zzz:"), ("edge 0: key 'zzz' is unknown", "known: learner, beneficiary, partner")),
        (VALID.replace("partner: adversary, ", ""), ("edge 0: key 'partner' is missing", "add it")),
        ("agents: {b: base}", ("key 'edges' is missing", "add it")),
        ("edges: []", ("key 'agents' is missing", "add it")),
        ("agents: {b: base}\nedges: {b: 1}", ("edges {'b': 1} must be a list of edges",)),
        ("agents: {b: base}\nedges: [b]", ("edge 0 'b' must be a mapping with the keys learner, beneficiary",)),
        ("agents: b\nedges: []", ("agents 'b' must map names to roles",)),
        ("- 1", ("[1] is not a mapping with the keys name, agents, edges",)),
        ("", ("None is not a mapping with the keys name, agents, edges",)),
        ("agents: {\nedges", ("line 2 is no YAML", "write lines like")),
        ("a: !!python/object:os.system {}", ("line 1 is no YAML",)),
        (VALID.replace("weight: -1", "weight: 0"), ("'adversary: U_victim(victim, adversary) : +0'", "not 0")),
        (VALID.replace("victim: fixed", "victim: fix"), ("agent 'victim': role 'fix' is unknown", "use one of base")),
        (VALID.replace("beneficiary: victim", "beneficiary: victm"), ("'victm' is not an agent", "'victim'?")),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_the_file(tmp_path, text, parts):
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_objective(path)
    message = str(caught.value)
    assert message.startswith(f"objective file {path}: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"missing\.yaml: cannot be read \(No such file.*give the path of a YAML file"):
        load_objective(tmp_path / "missing.yaml")
    with pytest.raises(InputError, match=r"cannot be read .*give the path of a YAML file"):
        load_objective(tmp_path)
    path = tmp_path / "bytes.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bytes\.yaml: not UTF-8 text; save it as UTF-8"):
        load_objective(path)


def test_files_too_large_to_be_an_objective(tmp_path):
    with pytest.raises(InputError, match=r"larger than 10000000 bytes; is it the right file\?"):
        load_objective(write(tmp_path, "#" * 10_000_001))


def test_a_file_is_plain_and_short(tmp_path):
    save_objective(algorithm("at"), tmp_path / "at.yaml")
    assert (tmp_path / "at.yaml").read_text() == (
        "name: at\n"
        "agents: {victim: base, adversary: base}\n"
        "edges:\n"
        "- learner: victim\n"
        "  beneficiary: victim\n"
        "  partner: adversary\n"
        "  weight: 1.0\n"
        "  seats: [0, 1]\n"
        "- learner: adversary\n"
        "  beneficiary: victim\n"
        "  partner: adversary\n"
        "  weight: -1.0\n"
        "  seats: [0, 1]\n"
    )
