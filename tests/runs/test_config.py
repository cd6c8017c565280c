"""Configurations: every shipped one is built, all survive the way through YAML, and nothing crashes on nonsense."""

import dataclasses
import itertools
import math

import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpax.environments.registry import ENVIRONMENTS, make
from rpax.errors import InputError
from rpax.objectives.catalogue import ALGORITHMS, algorithm
from rpax.objectives.plan import make_plan
from rpax.policies.fixed import resolve_fixed_agent
from rpax.policies.networks import MLP, Tabular
from rpax.runs.config import (
    FIELDS,
    TrainConfig,
    config_from_dict,
    config_to_dict,
    parse_assignments,
    read_settings,
)
from rpax.runs.directory import RunDirectory, default_directory
from rpax.runs.prepare import ALGORITHM_OPTIONS, prepare
from rpax.runs.presets import PRESETS
from rpax.runs.session import make_environment, make_trainer
from rpax.training.setup import make_problem


def shipped(algorithm_name: str, environment: str, **values: object) -> TrainConfig:
    """A configuration that gives no more than it must."""
    in_stages = ALGORITHMS[algorithm_name].in_stages
    fixed = {} if in_stages else dict.fromkeys(algorithm(algorithm_name).fixed, "uniform")
    needed: dict[str, object] = {
        "matrix/custom": {"payoffs": [[1, 0], [0, 1]]},
        "overcooked/custom": {"environment_options": {"layout": "WPXW\nOA W\nW AW\nWBWW"}},
    }.get(environment, {})
    return config_from_dict({"algorithm": algorithm_name, "environment": environment, **fixed, **needed, **values})


@pytest.mark.parametrize(
    ("environment", "exact"),
    [(name, exact) for name, entry in ENVIRONMENTS.items() for exact in (False, True) if entry.tabular or not exact],
)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_builds_for_every_algorithm_and_environment(preset, environment, exact):
    for name in ALGORITHMS:
        config, objective = prepare(shipped(name, environment, preset=preset, exact=exact))
        assert objective.name == name
        not_taken = set(ALGORITHM_OPTIONS).difference(ALGORITHMS[name].options)
        may_stay_open = {"minutes", "payoffs", "victim", "partner"}
        assert not_taken <= {field for field in FIELDS if getattr(config, field) is None} <= may_stay_open | not_taken
        again = config_from_dict(config_to_dict(config))
        assert again == config
        assert prepare(again)[0] == config, "a run's own config.yaml asks for the same run"


@pytest.mark.parametrize(("network", "kind"), [("tabular", Tabular), ("mlp", MLP)])
@pytest.mark.parametrize("environment", ["matrix/figure-14", "extensive/g3"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_becomes_a_problem_with_either_network(name, environment, network, kind):
    config, objective = prepare(shipped(name, environment, network=network))
    game = make(environment)
    plan = make_plan(objective)
    fixed = {agent: resolve_fixed_agent(agent, "uniform", game, plan.seats_of(agent)) for agent in objective.fixed}
    problem = make_problem(config, objective, game, fixed)
    assert problem.policies.keys() == objective.agents.keys()
    for agent in (*objective.bases, *objective.manipulators):
        assert all(isinstance(part, kind) for part in problem.policies[agent].networks.values())
        for seat, head in problem.policies[agent].head_of_seat.items():
            assert problem.policies[agent].networks[head].num_outputs == game.spaces[seat].num_actions


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("network", ["tabular", "mlp"])
@pytest.mark.parametrize("exact", [False, True])
def test_the_state_of_a_shipped_configuration_has_a_leading_seed_axis(preset, network, exact):
    config, objective = prepare(
        shipped("ad-rpg", "matrix/figure-13", preset=preset, network=network, exact=exact, seeds=3)
    )
    trainer = make_trainer(config, make_problem(config, objective, make_environment(config)))
    shapes = jax.tree.leaves(trainer.state_shape())
    assert shapes
    assert all(leaf.shape[0] == 3 for leaf in shapes)
    wide = {leaf.dtype.name for leaf in shapes if "float" in leaf.dtype.name}
    assert wide == {"float64" if exact else "float32"}


def test_a_configuration_and_an_objective_survive_the_run_directory(tmp_path):
    asked = shipped("ap", "matrix/custom", seeds=[7, 3], hidden_sizes=[8, 4], network="mlp", base_rate=1e-5, exact=True)
    config, objective = prepare(asked)
    written = RunDirectory.create(tmp_path / "run", config, objective)
    again = RunDirectory.open(tmp_path / "run")
    assert again.read_config() == config
    assert again.read_objective() == objective
    assert again.read_config().seed_list == (7, 3)
    assert again.read_results() is None
    assert not [path for path in written.path.iterdir() if path.name.endswith(".part")]


def test_seeds_are_a_number_of_consecutive_ones_or_a_list():
    assert shipped("sp", "matrix/figure-2", seeds=3, seed=5).seed_list == (5, 6, 7)
    assert shipped("sp", "matrix/figure-2", seeds=[9, 2]).seed_list == (9, 2)
    assert shipped("sp", "matrix/figure-2").seed_list == (0,)


def test_none_is_the_default_or_the_presets():
    bare, none = (shipped("sp", "matrix/figure-2", **values) for values in ({}, dict.fromkeys(FIELDS[2:])))
    assert bare == none
    assert bare.complete() == none.complete()


def test_two_hundred_lines_are_logged_unless_told_otherwise():
    assert shipped("sp", "matrix/figure-2", updates=10_000).complete().log_every == 50
    assert shipped("sp", "matrix/figure-2", updates=7).complete().log_every == 1
    assert shipped("sp", "matrix/figure-2", updates=10_000, log_every=3).complete().log_every == 3


def test_payoffs_are_stored_as_one_matrix_a_seat_whatever_they_came_as(tmp_path):
    file = tmp_path / "game.json"
    file.write_text("[[1, 0], [0, 2]]")
    for payoffs in ("[[1, 0], [0, 2]]", [[1, 0], [0, 2]], str(file)):
        config, _ = prepare(config_from_dict({"algorithm": "sp", "environment": "matrix/custom", "payoffs": payoffs}))
        assert config.payoffs == [[[1, 0], [0, 2]]] * 2


def test_yaml_reads_numbers_as_people_write_them(tmp_path):
    assert parse_assignments(("base-rate=1e-3", "lookahead_rate=2E+1", "updates=1_000")) == {
        "base_rate": 1e-3,
        "lookahead_rate": 20.0,
        "updates": 1000,
    }
    file = tmp_path / "settings.yaml"
    file.write_text("base_rate: 1e-3\nhidden_sizes: [8, 8]\nexact: true\n# nothing else\n")
    assert read_settings(file) == {"base_rate": 1e-3, "hidden_sizes": [8, 8], "exact": True}
    file.write_text("")
    assert read_settings(file) == {}


def test_run_directories_are_named_after_what_is_trained():
    assert default_directory("at-rpg", "matrix/figure-2").name.endswith("-at-rpg-matrix-figure-2")
    assert default_directory("my/own.yaml", "extensive/g2").name.endswith("-own-extensive-g2")


def test_runs_that_start_in_the_same_second_get_directories_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda text: "20300102-030405")
    config, objective = prepare(shipped("sp", "matrix/figure-2"))
    runs = [RunDirectory.create(default_directory("sp", "matrix/figure-2"), config, objective) for _ in range(3)]
    name = "20300102-030405-sp-matrix-figure-2"
    assert [run.path.as_posix() for run in runs] == [f"runs/{name}", f"runs/{name}-2", f"runs/{name}-3"]


REFUSED = [
    {"algorithm": "sp"},
    {"environment": "matrix/figure-2"},
    {"algorithm": "", "environment": "matrix/figure-2"},
    *[
        {"algorithm": "at-rpg", "environment": "matrix/figure-2", name: value}
        for name, value in [
            ("algorithm", 5),
            ("environment", ["matrix/figure-2"]),
            ("seed", True),
            ("seed", 2**32),
            ("seed", 0.0),
            ("seeds", []),
            ("seeds", [0, 0]),
            ("seeds", [[1]]),
            ("seeds", [True]),
            ("seeds", 10_001),
            ("exact", 1),
            ("hidden_sizes", [True]),
            ("hidden_sizes", [65_537]),
            ("hidden_sizes", 64),
            ("sinks", ["tensorboard", []]),
            ("sinks", "tensorboard"),
            ("base_rate", "0.1"),
            ("base_rate", -math.inf),
            ("base_rate", 10**400),
            ("discount", math.nan),
            ("network", ["mlp"]),
            ("victim", 1),
            ("normalize", "yes"),
            ("precision", 32),
            ("learning_rate", 1),
            (3, 3),
        ]
    ],
]


@pytest.mark.parametrize("values", REFUSED, ids=str)
def test_what_a_configuration_refuses(values):
    with pytest.raises(InputError):
        config_from_dict(values)


def test_fields_are_checked_in_python_too():
    good = shipped("sp", "matrix/figure-2")
    with pytest.raises(InputError, match="lookahead 0 is not allowed; give a whole number of at least 1"):
        dataclasses.replace(good, lookahead=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        good.lookahead = 3  # type: ignore[misc]  # that is what is tested


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 50)
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([*PRESETS, *ALGORITHMS, *ENVIRONMENTS, "uniform", "[0.5, 0.5]", "[[1, 0]", "x.yaml", "x.npy"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)
GOOD = {"algorithm": "at-rpg", "environment": "matrix/custom", "payoffs": [[1, 0], [0, 1]]}


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from([*FIELDS, "unknown"]), ANYTHING, max_size=4), st.booleans())
def test_nonsense_raises_nothing_but_input_errors(values, beside_good_ones):
    values = {**(GOOD if beside_good_ones else {}), **values}
    if isinstance(values.get("population"), int):  # a million agents are allowed, and take as long as they take
        values["population"] = min(values["population"], 50)
    try:
        config, objective = prepare(config_from_dict(values))
    except InputError:
        return
    assert prepare(config)[0] == config
    assert objective.bases


@settings(deadline=None, max_examples=200)
@given(key=st.sampled_from(FIELDS) | st.text(max_size=5), text=st.text(max_size=12))
def test_assignments_raise_nothing_but_input_errors(key, text):
    try:
        values = parse_assignments((f"{key}={text}",))
        config_from_dict({"algorithm": "sp", "environment": "matrix/figure-2", **values})
    except InputError:
        pass


def test_the_table_of_fields_is_complete():
    # Each setting has a rule: a value that can be right for none of them is refused by all but payoffs, which are
    # checked when they are read.
    accepts = []
    for name, value in itertools.product(FIELDS, [object()]):
        try:
            config_from_dict({"algorithm": "sp", "environment": "matrix/figure-2", name: value})
            accepts.append(name)
        except InputError:
            pass
    assert accepts == ["payoffs"]


@pytest.mark.parametrize("kept", [0, -1, True, 1.5, "2"])
def test_at_least_one_checkpoint_is_kept(kept):
    with pytest.raises(InputError, match=r"checkpoints_kept .* is not allowed; give a whole number of at least 1"):
        TrainConfig("sp", "matrix/figure-2", checkpoints_kept=kept)
    assert TrainConfig("sp", "matrix/figure-2").checkpoints_kept == 2
