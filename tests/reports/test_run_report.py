"""`rpax report`: what it says is what the runs' files say."""

import json

import pytest
import small_game  # noqa: F401  (registers the ring)

import rpax
from rpax.cli.main import main

TINY = {"updates": 2, "envs": 2, "steps": 6, "hidden_sizes": (4,), "evaluation_episodes": 4}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three seeds of self-play on the ring, an attack on one of them, and exact AT-RPG on a matrix game."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rpax.reports.run_plots.draw_run_plots", lambda *arguments: None)
        sp = rpax.train("sp", "small/ring", seeds=3, out=folder / "sp", **TINY)
        attack = rpax.attack(f"{sp.path}:base_0", algorithm="ap", out=folder / "attack", best_response=False, **TINY)
        rpax.train("at-rpg", "matrix/figure-2", exact=True, updates=3, out=folder / "exact")
    return folder, sp, attack


def report(capsys, *arguments) -> dict:
    assert main(["report", *map(str, arguments), "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_tells_of_every_run(runs, tmp_path, capsys):
    folder, sp, attack = runs
    written = report(
        capsys, *(folder / name for name in ("sp", "attack", "exact")), "--out", tmp_path / "r", "--episodes", "4"
    )
    text = (tmp_path / "r" / "report.md").read_text()
    assert "| sp | sp | small/ring | 0, 1, 2 | finished, update 2 |" in text
    assert "| `algorithm` | sp | ap | at-rpg |" in text
    returns = [result.returns("base_0", "base_0")[0] for result in sp.results]
    assert f"| sp | base_0 | base_0 | {sum(returns) / 3:.2f} ({min(returns):.2f} … {max(returns):.2f}) |" in text
    under = attack.returns.under_attack.together
    assert f"{under.mean:.2f} ± {under.half_width:.2f} |" in text
    assert attack.verdict.name in text
    gap = rpax.load(folder / "exact").results[0].gaps["adversary"][1]
    assert f"| exact | adversary | 1 | {gap:.2g} ({gap:.2g} … {gap:.2g}) | exact |" in text
    assert "## Cross-play in small/ring" in text
    for picture in written["pictures"]:
        relative = picture.removeprefix(f"{tmp_path / 'r'}/")
        assert f"]({relative})" in text
        assert (tmp_path / "r" / relative).stat().st_size > 1000


def test_cross_play_can_be_left_out_and_one_run_differs_from_nothing(runs, tmp_path, capsys):
    folder, _, _ = runs
    report(capsys, folder / "exact", "--no-cross-play", "--out", tmp_path / "r")
    text = (tmp_path / "r" / "report.md").read_text()
    assert "Cross-play" not in text
    assert "Settings that differ" not in text
    assert "heatmap" not in text


def test_it_shows_trained_certificates(runs, tmp_path, capsys):
    folder, _, _ = runs
    options = ["--updates", "1", "--episodes", "4", "--quiet", "--json"]
    assert main(["certify", str(folder / "attack"), *options]) == 0
    (found,) = json.loads(capsys.readouterr().out)["certificates"]
    report(capsys, folder / "attack", "--no-cross-play", "--out", tmp_path / "r")
    assert f"at least {found['gap']:.3g} (± {found['half_width']:.2g})" in (tmp_path / "r" / "report.md").read_text()


@pytest.mark.slow
def test_agents_of_one_seat_are_reported_without_cross_play(tmp_path, capsys, no_plots):
    """An adversary in seat 1 has nobody to play with, and runs in two games of one name play apart."""
    for number, payoffs in enumerate(([[1, 0], [0, 1]], [[2, 0], [0, 1]])):
        settings = {"exact": True, "updates": 1, "payoffs": payoffs}
        rpax.train("ap", "matrix/custom", victim="uniform", out=tmp_path / f"ap-{number}", **settings)
        rpax.train("sp", "matrix/custom", out=tmp_path / f"sp-{number}", **settings)
    report(capsys, tmp_path / "ap-0", "--out", tmp_path / "r")
    assert "Cross-play" not in (tmp_path / "r" / "report.md").read_text()
    report(capsys, tmp_path / "sp-0", tmp_path / "sp-1", "--episodes", "4", "--out", tmp_path / "two")
    assert (tmp_path / "two" / "report.md").read_text().count("## Cross-play in matrix/custom") == 2
    report(capsys, *sorted(tmp_path.iterdir()), "--episodes", "4", "--out", tmp_path / "all")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["nowhere"], "nowhere does not exist"), ([], "report needs runs"), (["{runs}"], "has no config.yaml")],
)
def test_wrong_input_is_one_line_and_leaves_nothing(runs, tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *(argument.format(runs=runs[0]) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error
    assert not list(tmp_path.iterdir())
