"""`rpax.cross_play` and `rpax cross-play`: who takes part, what is kept, what is written, what is refused."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import small_game  # noqa: F401  (registers the ring)

import rpax
from rpax.cli.main import main
from rpax.errors import InputError
from rpax.runs.config import TrainConfig
from rpax.runs.roster import _group_of
from rpax.runs.run import Run

TINY = {"updates": 1, "envs": 2, "steps": 3, "hidden_sizes": (4,), "evaluation_episodes": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two agents of AD and three seeds of self-play on the ring."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rpax.reports.run_plots.draw_run_plots", lambda *arguments: None)
        ad = rpax.train("ad", "small/ring", out=folder / "ad", **TINY)
        sp = rpax.train("sp", "small/ring", out=folder / "sp", seeds=3, **TINY)
    return ad, sp


def test_every_base_agent_of_every_seed_takes_part_under_its_name(runs):
    ad, sp = runs
    result = rpax.cross_play([ad.path, sp], episodes=4)
    assert result.names == ("ad:0:base_0", "ad:0:base_1", "sp:0:base_0", "sp:1:base_0", "sp:2:base_0")
    assert [entrant.group for entrant in result.entrants] == ["ad", "ad", "sp", "sp", "sp"]
    assert result.mean.shape == (5, 5)
    assert np.isfinite(result.mean).all()


@pytest.mark.slow
def test_manipulators_take_part_on_request():
    run = rpax.train("ap-rpg", "small/ring", victim="uniform", **TINY)
    assert rpax.cross_play([run], episodes=2).names == ("memory:0:adversary",)
    with_them = rpax.cross_play([run], episodes=2, manipulators=True)
    assert with_them.names == ("memory:0:adversary", "memory:0:manipulator")


def test_labels_make_groups(runs):
    ad, sp = runs
    by_text = rpax.cross_play([f"A={ad.path}", str(sp.path), "rest=uniform"], episodes=2)
    by_mapping = rpax.cross_play({"A": ad, "sp": [sp], "rest": "uniform"}, episodes=2)
    assert by_text.groups == by_mapping.groups == ("A", "sp", "rest")
    assert by_text.cells == by_mapping.cells


def test_metrics_are_those_of_the_cells(runs):
    """By hand: self-play is the diagonal; strict metric the mean of pairs; within a seed AD's two mixed cells."""
    result = rpax.cross_play(list(runs), episodes=6)
    both = result.returns.mean(axis=-1)
    sp, ad = result.group("sp"), result.group("ad")
    assert sp.self_play.mean == pytest.approx(np.diag(both)[2:].mean())
    pairs = both[2:, 2:][~np.eye(3, dtype=bool)]
    assert sp.strict_metric.mean == pytest.approx(pairs.mean())
    assert sp.paper_metric.mean == pytest.approx(pairs.mean())
    assert sp.paper_metric.n == 6
    assert sp.gap.mean == pytest.approx(np.diag(both)[2:].mean() - pairs.mean())
    assert sp.within_seed is None
    assert ad.within_seed.mean == pytest.approx((both[0, 1] + both[1, 0]) / 2)
    assert ad.strict_metric is None
    assert result.between["ad"]["sp"] == pytest.approx(both[:2, 2:].mean())
    seat_0 = result.returns[2, [3, 4], 0].mean()
    assert result.per_seat[2] == {
        "agent": "sp:0:base_0",
        "seat_0": pytest.approx(seat_0),
        "seat_1": pytest.approx(result.returns[[3, 4], 2, 1].mean()),
    }


def test_a_second_call_plays_only_what_is_missing(runs, tmp_path, monkeypatch):
    ad, sp = runs
    first = rpax.cross_play([sp], episodes=4, out=tmp_path / "kept")
    assert len((tmp_path / "kept/cells.jsonl").read_text().splitlines()) == 9
    played = []
    more = rpax.cross_play(
        [sp, ad], episodes=4, out=tmp_path / "kept", progress=lambda done, total: played.append((done, total))
    )
    assert played[0] == (10, 25)
    assert len(played) == 25 - 9
    assert all(more.cells[pair] == cell for pair, cell in first.cells.items())
    monkeypatch.setattr("rpax.runs.cross_play.play_cells", lambda *arguments, **settings: iter(()))
    assert rpax.cross_play([sp, ad], episodes=4, out=tmp_path / "kept").cells == more.cells


def test_a_line_that_was_cut_off_is_played_again(runs, tmp_path):
    _, sp = runs
    first = rpax.cross_play([sp], episodes=4, out=tmp_path / "kept")
    cells = tmp_path / "kept/cells.jsonl"
    cells.write_text(cells.read_text()[:-30])
    assert rpax.cross_play([sp], episodes=4, out=tmp_path / "kept").cells == first.cells
    played = []
    kept = rpax.cross_play([sp], episodes=4, out=tmp_path / "kept", progress=lambda *numbers: played.append(numbers))
    assert kept.cells == first.cells
    assert not played


def test_cells_of_numbers_that_are_none_are_played_again(runs, tmp_path):
    _, sp = runs
    first = rpax.cross_play([sp], episodes=4, out=tmp_path / "kept")
    cells = tmp_path / "kept/cells.jsonl"
    damages = [
        {"mean": [10**400, 0, 0]},
        {"mean": [0.0, -1e301, 0.0]},
        {"mean": [float("nan"), 0.0, 0.0]},
        {"mean": [True, 0.0, 0.0]},
        {"std": [-5.0, 0.0, 0.0]},
        {"std": [0.0, 1e308, 0.0]},
        {"std": [0.0, 0.0, float("inf")]},
        {"episodes": 10**400},
        {"episodes": 0},
    ]
    lines = [json.loads(line) for line in cells.read_text().splitlines()]
    damaged = [json.dumps(line | damage) for line, damage in zip(lines, damages, strict=True)]
    cells.write_text("\n".join(damaged) + "\n")
    played = []
    again = rpax.cross_play([sp], episodes=4, out=tmp_path / "kept", progress=lambda *numbers: played.append(numbers))
    assert again.cells == first.cells
    assert played == [(done, 9) for done in range(1, 10)]


def test_roles_with_a_seat_of_their_own_meet_where_they_can():
    run = rpax.train("at", "matrix/figure-2", exact=True, updates=2)
    result = rpax.cross_play([run], episodes=10)
    assert result.names == ("memory:0:victim", "memory:0:adversary")
    assert set(result.cells) == {(0, 1)}
    document = result.to_dict()
    assert document["mean"][1] == [None, None]
    assert document["strict_metric"] == {"at": None}
    json.dumps(document, allow_nan=False)


def test_the_command_writes_tables_a_heatmap_and_json(runs, tmp_path, capsys):
    ad, sp = runs
    out = tmp_path / "xp"
    assert (
        main(["cross-play", f"AD_{{1}}={ad.path}", str(sp.path), "--episodes", "4", "--out", str(out), "--json"]) == 0
    )
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "cross-play.json").read_text())
    assert {"agents", "mean", "ci_low", "ci_high", "episodes", "paper_metric", "strict_metric"} <= set(printed)
    assert np.shape(printed["mean"]) == np.shape(printed["ci_low"]) == (5, 5)
    assert printed["episodes"] == 4
    with (out / "cross-play.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 25
    cell = next(line for line in lines if (line["seat_0"], line["seat_1"]) == ("ad:0:base_1", "sp:2:base_0"))
    assert float(cell["return_0"]) == pytest.approx(printed["mean"][1][4])
    assert "| sp | 3 | 3 |" in (out / "cross-play.md").read_text()
    assert r"AD\_\{1\} & 2 & 1 &" in (out / "cross-play.tex").read_text()
    assert (out / "heatmap.png").stat().st_size > 5000


WRONG = [
    ([], "needs agents"),
    (["{sp}", "--episodes", "1"], "episodes 1 is not allowed"),
    (["{sp}", "{sp}"], "takes part twice"),
    (["{sp}", "small"], "names no agent"),
    (["uniform"], "--environment"),
    (["{sp}", "--option", "horizon=3"], "give --environment"),
    (["{sp}", "--environment", "storm"], "was trained for spaces"),
    (["{sp}", "--out", "{sp}"], "choose another --out"),
]


@pytest.mark.parametrize(("arguments", "told"), WRONG, ids=[told for _, told in WRONG])
def test_wrong_input_is_one_line(runs, tmp_path, capsys, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    paths = {"sp": runs[1].path}
    assert main(["cross-play", *(argument.format(**paths) for argument in arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert told in captured.err
    assert not list(tmp_path.iterdir())


def test_runs_of_different_environments_are_refused_with_both(runs):
    other = rpax.train("sp", "small/ring", **TINY, environment_options={"horizon": 7})
    with pytest.raises(InputError, match=r"differ in environment_options: \{\} and \{'horizon': 7\}"):
        rpax.cross_play([runs[1], other], episodes=2)
    chosen = rpax.cross_play({"these": runs[1], "other": other}, episodes=2, environment="small/ring")
    assert len(chosen.names) == 4


def test_a_folder_with_other_settings_is_refused(runs, tmp_path):
    rpax.cross_play([runs[1]], episodes=4, out=tmp_path)
    with pytest.raises(InputError, match="episodes 4, not 5"):
        rpax.cross_play([runs[1]], episodes=5, out=tmp_path)


def test_trainings_are_the_seeds_however_agents_are_named(runs, tmp_path):
    """Agents of one training count once: given as a run, one by one, or as they were before."""
    ad, _ = runs
    one_by_one = [f"AD={ad.path}:0:base_0", f"AD={ad.path}:base_1"]
    found = rpax.cross_play(one_by_one, episodes=4).group("AD")
    assert (found.agents, found.seeds, found.strict_metric) == (2, 1, None)
    assert found.within_seed.mean == rpax.cross_play(ad, episodes=4).group("ad").within_seed.mean
    copy = tmp_path / "copy"
    shutil.copytree(ad.path, copy)
    with pytest.raises(InputError, match="are the same policy and would count as two seeds"):
        rpax.cross_play([ad, copy], episodes=4)
    assert len(rpax.cross_play({"first": ad, "second": copy}, episodes=4).names) == 4


def test_agents_of_ones_own_are_named_by_their_labels(runs):
    ad, sp = runs
    agents = {"A": ad.agent("base_0"), "B": sp.agent("base_0"), "C": [staying, staying]}
    assert rpax.cross_play(agents, episodes=2, environment="small/ring").names == ("A", "B", "C", "C (2)")


def staying(observations):
    return np.ones(len(observations), int)


FIRST = "import numpy as np\n\n\ndef policy(observations):\n    return np.zeros(len(observations), int)\n"


def test_cells_of_files_are_kept_until_the_file_changes_and_those_of_objects_never(tmp_path):
    """In every process: the fingerprint is of the file's content. An object is known to its process only."""
    file = tmp_path / "mine.py"
    file.write_text(FIRST)
    seen: list[int] = []

    def play(*agents):
        seen.clear()
        kept = {"episodes": 4, "environment": "small/ring", "out": tmp_path / "kept"}
        return rpax.cross_play([*agents], progress=lambda done, total: seen.append(done), **kept)

    first = play(f"{file}:policy", "scripted:random")
    assert len(seen) == 4
    assert play(f"{file}:policy", "scripted:random").cells == first.cells
    assert not seen
    file.write_text(FIRST.replace("zeros", "ones"))
    play(f"{file}:policy", "scripted:random")
    assert len(seen) == 3
    play(staying)
    play(staying)
    assert seen == [1]


def test_roles_of_several_seeds_have_strict_metrics():
    """Victims with adversaries of other seeds: the mean over ordered pairs of seeds, by hand."""
    run = rpax.train("at", "matrix/figure-2", exact=True, updates=1, seeds=3)
    result = rpax.cross_play(run, episodes=50)
    victims, adversaries = [0, 2, 4], [1, 3, 5]
    both = result.returns.mean(axis=-1)[np.ix_(victims, adversaries)]
    found = result.group("at")
    assert found.strict_metric.mean == pytest.approx(both[~np.eye(3, dtype=bool)].mean())
    assert found.within_seed.mean == pytest.approx(np.diag(both).mean())
    assert (found.self_play, found.paper_metric, found.gap) == (None, None, None)


def test_agents_of_a_sweep_are_groups_by_their_entropy_bonus():
    config = TrainConfig("sp-sweep", "storm", entropies=(0.01, 0.05))
    run = Run(config, rpax.algorithm("ad", population=2), (), "finished", 1, None, {})
    assert [_group_of(run, None, agent) for agent in ("base_0", "base_1")] == ["ad 0.01", "ad 0.05"]
    assert _group_of(run, "SP", "base_1") == "SP 0.05"
    assert _group_of(dataclasses.replace(run, config=TrainConfig("ad", "storm")), "AD", "base_1") == "AD"
