"""Every algorithm of the catalogue trains from the command line on a game of every kind (baselines: beside this)."""

import json

import pytest

from rpax.cli.main import main
from rpax.objectives.catalogue import ALGORITHMS

SMALL = ["--updates", "2", "--envs", "4", "--steps", "6", "--evaluation-episodes", "4", "--quiet"]
DEEP = ["--hidden-sizes", "8", "--ppo-epochs", "1", "--ppo-minibatches", "1"]
GAMES = {
    "matrix/figure-2": [],
    "storm": ["--hidden-sizes", "8"],
    "overcooked/cramped_room": [*DEEP, "--option", "horizon=12"],
    "hanabi/3x3": DEEP,
}
NEEDS = {name: ["--victim", "uniform"] for name in ("ap", "ap-rpg", "paired-a-rpg")} | {"br": ["--partner", "uniform"]}
#: Others are trained in tests/cli/test_baselines_command.py.
PAPERS = [name for name in ALGORITHMS if name in ("sp", "ad", "ad-rpg", "at", "at-rpg", "paired", "paired-rpg", *NEEDS)]
#: Few, as tests/cli/test_train_command.py trains all of them on matrix games.
ALWAYS = {("matrix/figure-2", "ad-rpg")}
CASES = [
    pytest.param(game, name, marks=() if (game, name) in ALWAYS else pytest.mark.slow)
    for game in GAMES
    for name in PAPERS
]


def test_the_papers_algorithms_are_eleven():
    assert len(PAPERS) == 11


@pytest.mark.parametrize(("game", "name"), CASES)
def test_it_trains(game, name, tmp_path, capsys, no_plots):
    arguments = [*SMALL, *GAMES[game], *NEEDS.get(name, []), "--json", "--out", str(tmp_path / "run")]
    assert main(["train", name, game, *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["algorithm"], document["environment"], document["status"]) == (name, game, "finished")
    (result,) = document["results"]
    assert {"base", "manipulator", "fixed"} >= {agent["role"] for agent in result["agents"].values()}
    assert any(agent["role"] == "manipulator" for agent in result["agents"].values()) == name.endswith("-rpg")
    assert result["pairings"]
