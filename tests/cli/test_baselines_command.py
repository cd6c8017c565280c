"""Every baseline trains from the command line, on a game of every kind."""

import json

import pytest

import rpax
from rpax.cli.main import main

SMALL = ["--updates", "2", "--envs", "4", "--steps", "6", "--evaluation-episodes", "4", "--quiet"]
DEEP = ["--hidden-sizes", "8", "--ppo-epochs", "1", "--ppo-minibatches", "1"]
GAMES = {
    "matrix/figure-2": [],
    "storm": ["--hidden-sizes", "8"],
    "overcooked/cramped_room": [*DEEP, "--option", "horizon=12"],
    "hanabi/3x3": DEEP,
}
BASELINES = {
    "sp-sweep": ["--entropies", "0.01", "0.1"],
    "sp-augmented": [],
    "other-play": [],
    "fcp": ["--population", "2"],
    "comedi": ["--population", "2"],
}
#: The quick ones; every baseline is among them.
ALWAYS = {
    *(("matrix/figure-2", name) for name in BASELINES),
}
CASES = [
    pytest.param(game, name, marks=() if (game, name) in ALWAYS else pytest.mark.slow)
    for game in GAMES
    for name in BASELINES
]
STAGES = {
    "sp-sweep": ["entropy-0.01", "entropy-0.1"],
    "fcp": ["pool", "."],
    "comedi": ["agent-0", "agent-1"],
}


@pytest.mark.parametrize(("game", "name"), CASES)
def test_it_trains(game, name, tmp_path, capsys, no_plots):
    out = tmp_path / "run"
    assert main(["train", name, game, *SMALL, *GAMES[game], *BASELINES[name], "--json", "--out", str(out)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["algorithm"], document["environment"], document["status"]) == (name, game, "finished")
    run = rpax.load(out)
    (result,) = run.results
    assert result.agents.keys() == run.objective.agents.keys()
    for agent in run.objective.agents:
        assert run.agent(agent).seats == (0, 1)
    assert result.pairings
    stages = json.loads((out / "scheme.json").read_text())["stages"] if name in STAGES else []
    assert [stage["folder"] for stage in stages] == STAGES.get(name, [])
    for stage in stages:
        assert rpax.load(out / stage["folder"]).status == "finished"
    assert main(["resume", str(out), "--quiet"]) == 0


def test_games_without_symmetries_say_that_other_play_is_self_play(tmp_path, capsys, no_plots):
    options = ["--exact", "--updates", "1", "--out", str(tmp_path / "run")]
    assert main(["train", "other-play", "extensive/g2", *options]) == 0
    assert "no symmetries of 'extensive/g2' are known, so other-play is self-play here" in capsys.readouterr().err
    options[-1] = str(tmp_path / "other")
    assert main(["train", "sp-augmented", "matrix/figure-2", *options]) == 0
    assert "'matrix/figure-2' has one state, so exploring starts change nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["other-play", "storm", "--symmetries", "False"], "'other-play' without symmetries is self-play"),
        (["sp-sweep", "storm", "--entropies", "0.1", "0.1"], "has one twice"),
        (["sp", "storm", "--entropies", "0.1"], "'sp' has no option 'entropies'"),
        (["fcp", "storm", "--population", "1"], "population 1 is not allowed"),
        (["fcp", "storm", "--mixed-play-weight", "1"], "'fcp' has no option 'mixed_play_weight'"),
        (["fcp", "storm", "--partner", "uniform"], "'fcp' trains its own partners; leave --partner out"),
        (["comedi", "storm", "--mixed-play-weight", "-1"], "mixed_play_weight -1.0 is not allowed"),
        (["comedi", "hanabi/3x3", "--network", "gru"], "mixed-play needs agents without memory"),
        (["sp-augmented", "extensive/g1", "--exact"], "exact mode has no exploring starts"),
    ],
)
def test_wrong_input_is_told_in_one_line_and_leaves_nothing(arguments, complaint, tmp_path, capsys):
    assert main(["train", *arguments, "--out", str(tmp_path / "run"), "--updates", "1"]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_measuring_names_a_stage_instead(capsys):
    assert main(["bench", "fcp", "storm"]) == 2
    assert "'fcp' is trained in stages; measure one of them" in capsys.readouterr().err
