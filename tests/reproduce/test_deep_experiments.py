"""Deep experiments: cells are made once, filled in where they are missing, and read the same anywhere."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest
import scipy.stats
import small_game  # noqa: F401  (registers the ring)

import rpax
from rpax.cli.deep_experiments import find_deep_experiment
from rpax.cli.main import main
from rpax.errors import InputError
from rpax.objectives.catalogue import ALGORITHMS
from rpax.reproduce import DEEP_EXPERIMENTS
from rpax.reproduce.cells import curve
from rpax.reproduce.deep_runner import run_study
from rpax.reproduce.figure_6 import exceeds, irrational, sabotages
from rpax.reproduce.gap_cells import share_of
from rpax.reproduce.study import (
    BEFORE,
    BUDGETS,
    GREEDY,
    SELF_PLAY,
    STRICT,
    WITHIN_SEED,
    DeepExperiment,
    Population,
    Study,
    Value,
    best_partner,
    difference,
    gap_of,
    under,
)
from rpax.runs.config import TrainConfig
from rpax.runs.prepare import prepare

TINY = {"updates": 2, "envs": 2, "steps": 6, "hidden_sizes": (4,), "evaluation_episodes": 4}
THREE = dict.fromkeys(BUDGETS, 3)
RING = Study(
    "ring",
    "small/ring",
    (Population("SP", "sp", seeds=THREE), Population("AD-RPG", "ad-rpg", {"partner_play": 0.2}, THREE)),
    dict.fromkeys(BUDGETS, TINY),
    published={("SP", SELF_PLAY): "about 2", ("SP", "unknown"): "7"},
    claims=lambda values: [sabotages(values, "AD-RPG", expected=False)],
)


def silent(title, update, until, rows):
    """No progress."""


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """The ring's study, and its folder."""
    folder = tmp_path_factory.mktemp("study") / "ring"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rpax.reports.run_plots.draw_run_plots", lambda *arguments: None)
        return run_study(RING, "smoke", folder, silent), folder


def test_every_training_and_cross_play_is_a_small_cell(reproduced):
    _, folder = reproduced
    trainings = sorted(path.name for path in folder.glob("train-*.json"))
    assert trainings == [f"train-{slug}-seed-{seed}.json" for slug in ("ad-rpg", "sp") for seed in range(3)]
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        assert {"rpax", "commit", "processor"} <= set(content)
        assert str(folder) not in path.read_text()
        assert path.stat().st_size < 50_000


def test_values_are_those_of_the_cells(reproduced):
    result, folder = reproduced
    played = json.loads((folder / "cross-play.json").read_text())
    both = (np.array(played["mean"]) + np.array(played["seat_1"]["mean"])) / 2
    self_play = result.values["SP", SELF_PLAY]
    assert self_play.mean == pytest.approx(np.diag(both)[:3].mean())
    assert (self_play.number, self_play.unit) == (3, "seeds")
    pairs = both[:3, :3][~np.eye(3, dtype=bool)]
    assert result.values["SP", STRICT].mean == pytest.approx(pairs.mean())
    within = [both[3 + 2 * seed + a, 4 + 2 * seed - a] for seed in range(3) for a in (0, 1)]
    assert result.values["AD-RPG", WITHIN_SEED].mean == pytest.approx(np.mean(within))
    assert result.values["AD-RPG", GREEDY + SELF_PLAY].number == 3
    rows = {(row.label, row.quantity): row for row in result.rows}
    assert rows["SP", SELF_PLAY].published == "about 2"
    assert rows["SP", "unknown"].measured is None
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_second_call_makes_nothing_and_a_gap_is_filled(reproduced, monkeypatch):
    """Where only the run directory is there, its cell is made from it; where only the cell is there, it is enough."""
    first, folder = reproduced
    monkeypatch.setattr("rpax.reproduce.cells.train", refuse)
    monkeypatch.setattr("rpax.runs.cross_play.play_cells", refuse)
    assert run_study(RING, "smoke", folder, silent).values == first.values
    (folder / "train-sp-seed-1.json").unlink()
    (folder / "cross-play.json").unlink()
    monkeypatch.setattr("rpax.runs.cross_play.play_cells", lambda *arguments, **settings: iter(()))
    assert run_study(RING, "smoke", folder, silent).values == first.values
    assert run_study(RING, "smoke", folder, silent, make=False).values == first.values


@pytest.mark.slow
def test_gaps_are_shares_of_what_a_best_response_gets(tmp_path, no_plots, monkeypatch):
    population = Population("AD", "ad", seeds=dict.fromkeys(BUDGETS, 3), certified=("base_0",))
    study = Study("ring", "small/ring", (population,), dict.fromkeys(BUDGETS, TINY))
    found = run_study(study, "smoke", tmp_path, silent).values["AD", gap_of("base_0")]
    cell = json.loads((tmp_path / "gap-ad-seed-0-base_0.json").read_text())
    assert {part["partner"] for part in cell["partners"]} == {"base_0", "base_1"}
    best, own = (cell[name]["mean"] for name in ("best_response_return", "agent_return"))
    assert found.mean == pytest.approx(max(0.0, (best - own) / best))
    assert found.low <= found.mean <= found.high
    monkeypatch.setattr("rpax.reproduce.gap_cells.certify", refuse)
    assert run_study(study, "smoke", tmp_path, silent).values["AD", gap_of("base_0")] == found


def refuse(*arguments, **settings):
    raise AssertionError("nothing is to be made")


def test_a_run_with_other_settings_is_refused(reproduced, tmp_path):
    _, folder = reproduced
    longer = dataclasses.replace(RING, settings=dict.fromkeys(BUDGETS, TINY | {"updates": 3}))
    (tmp_path / "runs").symlink_to(folder / "runs")
    with pytest.raises(InputError, match="made with updates 2, now it is 3; choose another --out"):
        run_study(longer, "smoke", tmp_path, silent)


def test_a_cell_with_other_settings_is_refused_without_its_run_too(reproduced, tmp_path):
    _, folder = reproduced
    (tmp_path / "train-sp-seed-0.json").write_bytes((folder / "train-sp-seed-0.json").read_bytes())
    longer = dataclasses.replace(RING, settings=dict.fromkeys(BUDGETS, TINY | {"updates": 3}))
    with pytest.raises(InputError, match=r"train-sp-seed-0\.json was made with .*choose another --out or remove it"):
        run_study(longer, "smoke", tmp_path, silent)


def test_a_cross_play_of_other_seeds_is_made_anew_or_read_as_it_is(reproduced, tmp_path):
    _, folder = reproduced
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    fewer = dataclasses.replace(RING.populations[0], seeds=dict.fromkeys(BUDGETS, 2))
    study = dataclasses.replace(RING, populations=(fewer, RING.populations[1]))
    label = fewer.label
    assert run_study(study, "smoke", tmp_path, silent, make=False).values[label, SELF_PLAY].number == 3
    assert run_study(study, "smoke", tmp_path, silent).values[label, SELF_PLAY].number == 2
    assert run_study(study, "smoke", tmp_path, silent, make=False).values[label, SELF_PLAY].number == 2


def test_a_cell_that_does_not_say_what_it_was_made_with_is_refused(reproduced, tmp_path):
    _, folder = reproduced
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (path,) = tmp_path.glob("train-sp-seed-0.json")
    path.write_text(
        json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != "settings"})
    )
    with pytest.raises(InputError, match=r"train-sp-seed-0\.json was made with None, not"):
        run_study(RING, "smoke", tmp_path, silent)


def test_shares_of_a_victim_that_got_nothing_are_open():
    (study,) = find_deep_experiment("attack-cramped").studies
    nothing = {("SP .01", quantity): Value(0.0) for quantity in (BEFORE, under("ap"), under("ap-rpg"))}
    assert {finding.holds for finding in study.claims(nothing)} == {None}


def test_a_best_response_that_gets_nothing_tells_nothing_about_a_gap():
    cell = {"best_response_return": {"mean": 0.0}, "difference": 0.0, "half_width": 0.1, "episodes": 9}
    assert share_of(cell) is None
    assert share_of(cell | {"best_response_return": {"mean": 2.0}, "difference": 1.0}).mean == 0.5
    finding = irrational({}, "AT", "adversary", expected=True)
    assert (finding.holds, finding.evidence) == (None, "not measured yet, or the best response gets nothing")


def test_only_what_is_asked_for_is_made(reproduced, tmp_path):
    _, folder = reproduced
    (tmp_path / "runs").symlink_to(folder / "runs")
    run_study(RING, "smoke", tmp_path, silent, labels=["SP"])
    assert sorted(path.name for path in tmp_path.glob("*.json")) == [f"train-sp-seed-{seed}.json" for seed in range(3)]


def test_what_a_rebuilt_cell_says_of_its_training_is_what_was_known(reproduced, tmp_path):
    """Commit and processor are those at the training's beginning; how long it took is not known any more."""
    _, folder = reproduced
    (tmp_path / "runs").symlink_to(folder / "runs")
    run_study(RING, "smoke", tmp_path, silent, labels=["SP"])
    rebuilt, first = (json.loads((place / "train-sp-seed-0.json").read_text()) for place in (tmp_path, folder))
    assert rebuilt["seconds"] is None
    assert first["seconds"] > 0
    assert rebuilt["commit"] == first["commit"]
    assert rebuilt["pairings"] == first["pairings"]


def test_a_damaged_cell_is_named(reproduced, tmp_path):
    (tmp_path / "train-sp-seed-0.json").write_text("{")
    with pytest.raises(InputError, match=r"train-sp-seed-0\.json is damaged"):
        run_study(RING, "smoke", tmp_path, silent)


def test_the_curve_separates_kinds_of_pairings():
    row = {
        "update": 7,
        "lookahead_episode_return": {"base_0 vs base_0": [4.0, 2.0], "base_0 vs manipulator_0": [1.0, 1.0]},
        "outer_episode_return": {"base_0 vs base_1": [0.5, 1.5], "base_1 vs base_0": None},
    }
    found = curve([row], ["base_0", "base_1"])
    assert found == {"update": [7], "self-play": [3.0], "cross-play": [1.0], "with manipulators": [1.0]}


def test_the_curve_has_at_most_sixty_points_with_the_last():
    rows = [{"update": update, "returns": {"a vs a": [1.0, 1.0]}} for update in range(1, 200)]
    found = curve(rows, ["a"])
    assert len(found["update"]) <= 60
    assert found["update"][-1] == 199


def test_differences_have_the_interval_of_welch_and_satterthwaite():
    """From samples, against SciPy's Welch test; equal sizes, as degrees of freedom are rounded down for others."""
    samples = np.random.default_rng(0).normal([[3.0], [1.0]], [[1.0], [5.0]], (2, 6))
    halves = scipy.stats.t.ppf(0.975, 5) * samples.std(axis=1, ddof=1) / np.sqrt(6)
    means = samples.mean(axis=1)
    values = [Value(mean, mean - half, mean + half, 6, "seeds") for mean, half in zip(means, halves, strict=True)]
    apart = difference(*values)
    expected = scipy.stats.ttest_ind(*samples, equal_var=False).confidence_interval(0.95)
    np.testing.assert_allclose(apart[:3], (means[0] - means[1], expected.low, expected.high))
    assert difference(Value(1.0), Value(0.5, 0.4, 0.6, 3)) == Value(0.5)


def test_claims_hold_or_do_not_or_are_open():
    values = {
        ("AD", SELF_PLAY): Value(200.0),
        ("AD", WITHIN_SEED): Value(5.0),
        ("AD-RPG", STRICT): Value(200.0, 180.0, 220.0, 3),
        ("SP .01", STRICT): Value(100.0, 60.0, 140.0, 5),
        ("AD", STRICT): Value(190.0, 180.0, 200.0, 3),
    }
    assert sabotages(values, "AD", expected=True).holds is True
    assert sabotages(values, "AD", expected=False).holds is False
    assert sabotages(values, "AD-RPG", expected=False).holds is None
    assert exceeds(values, "AD-RPG", "SP .01").holds is True
    assert exceeds(values, "AD-RPG", "AD").holds is False


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", DEEP_EXPERIMENTS)
def test_every_training_of_every_experiment_can_be_configured(name, budget):
    experiment = find_deep_experiment(name)
    assert experiment.name == name
    for study in experiment.studies:
        for population in study.populations:
            if population.algorithm in ALGORITHMS:
                config, objective = prepare(study.config(population, budget, 0))
                assert not study.attacks or population.victim in objective.agents
                assert config.updates
        assert study.claims({}) == [f for f in study.claims({}) if f.holds is None]
    assert experiment.chosen(budget, ())


def test_the_command_prints_published_beside_measured(reproduced, tmp_path, capsys, monkeypatch):
    """On a copy of the ring's cells, of which nothing is missing."""
    _, folder = reproduced
    experiment = DeepExperiment("figure-6", "the ring", (RING,))
    monkeypatch.setattr("rpax.cli.deep_experiments.find_deep_experiment", lambda name: experiment)
    for path in folder.glob("*.json"):
        (tmp_path / "ring").mkdir(exist_ok=True)
        (tmp_path / "ring" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "experiment.json").write_text('{"experiment": "figure-6", "budget": "smoke"}')
    arguments = ["reproduce", "figure-6", "--budget", "smoke", "--out", str(tmp_path), "--quiet"]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cases"][0]["rows"] == json.loads((tmp_path / "ring/results.json").read_text())["rows"]
    rows = {(row["label"], row["quantity"]): row for row in document["cases"][0]["rows"]}
    assert rows["SP", SELF_PLAY]["published"] == "about 2"
    assert math.isfinite(rows["SP", SELF_PLAY]["measured"]["mean"])
    assert (tmp_path / "ring/heatmap.png").is_file()
    assert main([*arguments, "--show"]) == 0
    assert "about 2" in capsys.readouterr().out
    assert main([*arguments, "--budget", "laptop"]) == 2
    assert "holds figure-6 with budget smoke" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", DEEP_EXPERIMENTS)
def test_every_experiment_runs_at_the_smoke_budget(name, tmp_path, capsys, no_plots):
    assert main(["reproduce", name, "--budget", "smoke", "--out", str(tmp_path / "out"), "--quiet", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    measured = [row["measured"] for case in document["cases"] for row in case["rows"]]
    assert sum(value is not None for value in measured) >= 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["figure-5"], "did you mean 'figure-"),
        (["figure-6", "--only", "cramped"], "has no case 'cramped'"),
        (["table-1", "--population", "AT-RGP"], "has no population 'AT-RGP'; did you mean 'AT-RPG'?"),
        (["figure-6", "--show"], "holds no reproduction"),
        (["figure-6", "--seeds", "3"], "--seeds has no effect"),
        (["figure-2", "--budget", "smoke"], "--budget has no effect"),
    ],
)
def test_wrong_input_is_one_line(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error
    assert not list(tmp_path.iterdir())


def test_a_study_of_a_game_of_ones_own_takes_a_few_lines():
    """What docs say: a study is data."""
    assert RING.config(RING.populations[1], "smoke", 2).partner_play == 0.2
    assert rpax.make(RING.environment).horizon == 5


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", [name for name in DEEP_EXPERIMENTS if find_deep_experiment(name).studies[0].attacks])
def test_every_attack_of_every_experiment_can_be_configured(name, budget):
    for study in find_deep_experiment(name).studies:
        for algorithm in study.attacks:
            settings = study.settings_of_attack(budget, algorithm)
            config, objective = prepare(TrainConfig(algorithm, study.environment, victim="uniform", **settings))
            assert {"victim", "adversary"} <= set(objective.agents)
            assert config.updates


@pytest.mark.slow
def test_victims_are_attacked_once_and_their_numbers_are_those_of_the_cells(tmp_path, no_plots, monkeypatch):
    population = Population("SP", "sp", seeds=dict.fromkeys(BUDGETS, 1))
    settings = dict.fromkeys(BUDGETS, TINY)
    study = Study("ring", "small/ring", (population,), settings, attacks=("ap",), attack_settings=settings)
    first = run_study(study, "smoke", tmp_path, silent)
    cell = json.loads((tmp_path / "attack-sp-seed-0-ap.json").read_text())
    assert first.values["SP", BEFORE].mean == cell["victim_return"]["before"]["mean"]
    assert first.values["SP", under("ap")].mean == cell["victim_return"]["under_attack"]["mean"]
    assert first.values["SP", best_partner("ap")].mean == max(
        score["mean"] for score in cell["partner_return"].values()
    )
    monkeypatch.setattr("rpax.reproduce.attack_cells.attack", refuse)
    assert run_study(study, "smoke", tmp_path, silent).values == first.values
    (tmp_path / "attack-sp-seed-0-ap.json").unlink()
    assert run_study(study, "smoke", tmp_path, silent).values == first.values
