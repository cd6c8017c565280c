"""`rpax attack`, and `rpax certify` where games are deep, as a user calls them."""

import json
import pathlib

import pytest
import small_game  # noqa: F401
from PIL import Image

import rpax
from rpax.cli.main import main

TINY = ["--set", "envs=8", "--set", "steps=5", "--set", "hidden_sizes=[8]", "--set", "evaluation_episodes=8"]
SETTINGS = {"envs": 8, "steps": 5, "hidden_sizes": (8,), "evaluation_episodes": 8}


def documented(arguments: list[str], capsys):
    """With --json: standard output is one document and nothing else."""
    assert main([*arguments, "--json"]) == 0
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    return json.loads(output.out)


@pytest.fixture(scope="module")
def ring_run(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("ring") / "run"
    rpax.train("sp", "small/ring", updates=2, seed=5, out=path, **SETTINGS)
    return path


@pytest.mark.slow
def test_an_attack_of_a_deep_agent(ring_run, tmp_path, capsys, no_plots):
    out = tmp_path / "attack"
    arguments = ["attack", str(ring_run), "--updates", "2", "--seed", "3", "--out", str(out), *TINY]
    document = documented(arguments, capsys)
    assert (document["environment"], document["algorithm"], document["seed"]) == ("small/ring", "ap-rpg", 3)
    # The run's only base agent.
    assert document["victim"] == f"{ring_run}:base_0"
    before, under = document["victim_return"]["before"], document["victim_return"]["under_attack"]
    assert before["with"] == "itself"
    for entry in (before, under):
        assert set(entry["by_seat"]) == {"0", "1"}
        assert entry["mean"] == pytest.approx((entry["by_seat"]["0"]["mean"] + entry["by_seat"]["1"]["mean"]) / 2)
    assert set(document["adversary_return"]) == {
        f"with_{w}" for w in ("victim", "itself", "manipulator", "best_response")
    }
    assert document["floor"] == 0.0
    assert document["common_payoff"] is False
    assert document["episodes"] == 8
    assert document["verdict"]["name"] in ("sabotage", "real weakness", "robust", "unclear")
    # The game does not draw itself.
    assert document["replays"] == []
    assert json.loads((out / "attack.json").read_text()) == document
    # Its directory is an ordinary run; what was trained is judged again, alike.
    assert rpax.load(out).status == "finished"
    assert documented(["attack", str(out), "--evaluate"], capsys) == document
    # The best response is an agent like any other.
    again = rpax.train("br", "small/ring", partner=str(out / "best_response.safetensors"), updates=1, **SETTINGS)
    assert again.status == "finished"


def test_certificates_of_deep_agents_are_bounds_from_trained_best_responses(ring_run, capsys):
    arguments = ["certify", str(ring_run), "--updates", "2", "--episodes", "8"]
    document = documented(arguments, capsys)
    assert (document["method"], document["bound"]) == ("trained", "lower")
    assert "from below only" in document["caveat"]
    (entry,) = document["certificates"]
    assert (entry["seed"], entry["agent"], entry["seats"]) == (5, "base_0", [0, 1])
    assert (entry["updates"], entry["status"], entry["episodes"]) == (2, "finished", 8)
    assert entry["partners_from"] == "its own objective"
    assert sum(part["weight"] for part in entry["partners"]) == pytest.approx(1)
    for side in ("agent_return", "best_response_return"):
        pooled = sum(part["weight"] * part[side]["mean"] for part in entry["partners"])
        assert entry[side]["mean"] == pytest.approx(pooled)
    difference = entry["best_response_return"]["mean"] - entry["agent_return"]["mean"]
    assert entry["difference"] == pytest.approx(difference)
    assert entry["gap"] == max(0.0, entry["difference"])
    assert entry["half_width"] > 0
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert "gap at least" in output.out
    assert "(95 % intervals)" in output.out
    assert "from below only" in output.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ("storm", {"horizon": 8}),
        pytest.param("overcooked/cramped_room", {"horizon": 8}, marks=pytest.mark.slow),
    ],
)
def test_attacks_where_games_draw_themselves(environment, options, tmp_path, capsys, no_plots):
    settings = [f"--set=environment_options.{name}={value}" for name, value in options.items()]
    arguments = ["attack", "uniform", "--environment", environment, "--algorithm", "ap", "--updates", "2", *settings]
    assert main([*arguments, "--out", str(tmp_path / "run"), "--replays", "1", "--quiet", *TINY]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert "verdict: " in output.out
    document = json.loads((tmp_path / "run" / "attack.json").read_text())
    (episode,) = document["replays"]
    with Image.open(episode["file"]) as file:
        assert file.n_frames == episode["length"] + 1
    with Image.open(tmp_path / "run" / "attack.png") as picture:
        assert picture.width > 300


def test_help_says_how_verdicts_come_about(capsys):
    with pytest.raises(SystemExit):
        main(["attack", "--help"])
    output = capsys.readouterr().out
    assert "rpax attack runs/x --agent base_0" in output
    assert "real weakness" in output
    words = " ".join(output.replace("│", " ").split())
    assert "if the interval of what the victim keeps reaches 90 % and stays above 75 %" in words
    assert "surely less than 50 %, and both seats have the same payoffs" in words
    assert "None" not in output.replace("None to", "")


@pytest.fixture(scope="module")
def attack_run(tmp_path_factory) -> pathlib.Path:
    """The directory of an attack that was trained and never judged."""
    path = tmp_path_factory.mktemp("attack") / "run"
    rpax.train("ap", "matrix/figure-2", victim="[0.8, 0.2]", exact=True, updates=2, out=path)
    return path


def test_a_best_response_may_be_trained_longer_than_the_adversary(attack_run, capsys):
    arguments = ["attack", str(attack_run), "--evaluate", "--replays", "0"]
    short, long = (documented([*arguments, "--updates", updates], capsys) for updates in ("2", "2000"))
    assert long["best_response"] == {"updates": 2000, "status": "finished"}
    assert short["update"] == long["update"] == 2
    # Column C, the best response to the victim, gets 0.8.
    assert long["victim_return"]["before"]["mean"] == pytest.approx(0.8, abs=0.02)
    assert short["victim_return"]["before"]["mean"] < 0.5
    assert long["best_response_gap"]["mean"] > short["best_response_gap"]["mean"]
    assert main(["attack", str(attack_run), "--evaluate", "--replays", "0", "--no-best-response", "--quiet"]) == 0
    output = capsys.readouterr().out
    assert "verdict: unclear" in output
    assert "nobody is known with whom the victim played before" in output


LIST = ["attack", "[0.8, 0.2]"]
THERE = ["--environment", "matrix/figure-2"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["attack"], ("Missing from rpax attack: VICTIM", "see `rpax attack --help`")),
        (LIST, ("'[0.8, 0.2]' does not say where it plays", "give --environment NAME")),
        (["attack", "TMP/none"], ("TMP/none does not exist", "that `rpax train` wrote")),
        (["attack", "TMP/none:base_0@first"], ("TMP/none does not exist", "that `rpax train` wrote")),
        (["attack", "TMP/none.safetensors"], ("does not say where it plays", "give --environment NAME")),
        (["attack", "scripted:idle"], ("'scripted:idle' does not say where it plays", "give --environment NAME")),
        (["attack", "RUN:victim@soon"], ("update 'soon' is no whole number", "write victim@UPDATE, victim@first")),
        (["attack", "RUN", "--agent", "victim@soon"], ("victim 'victim@soon': update 'soon'", "victim@UPDATE")),
        (["attack", "RUN:victim@first", "--agent", "victim"], ("names an agent already", "leave --agent victim out")),
        (["attack", "RUN:victim@3"], ("no 'victim' of update 3", "train with --snapshots")),
        ([*LIST, "--environment", "matrix/figure2"], ("'matrix/figure2' is unknown", "did you mean 'matrix/figure-2'")),
        ([*LIST, *THERE, "--algorithm", "at"], ("'at' attacks no fixed victim", "use ap, ap-rpg or paired-a-rpg")),
        ([*LIST, *THERE, "--algorithm", "ap-rgp"], ("'ap-rgp' is unknown", "did you mean 'ap-rpg'?")),
        ([*LIST, *THERE, "--agent", "victim"], ("agent 'victim' is looked for in a run", "leave it out")),
        (["attack", "[0.8, 0.3]", *THERE], ("[0.8, 0.3]", "that add up to 1")),
        (["attack", "RUN"], ("base agents victim, adversary", "choose one with --agent")),
        (["attack", "RUN", "--agent", "victm"], ("no agent 'victm'", "did you mean 'victim'?")),
        (["attack", "RUN:x:victim"], ("seed 'x' is no whole number", "write RUN:SEED:AGENT")),
        (["attack", "RUN:7:victim"], ("no seed 7", "it has 0, 1")),
        (["attack", "RUN:victim", "--agent", "victim"], ("names an agent already", "leave --agent victim out")),
        (["attack", "RUN:victim", "--replays", "65"], ("replays 65", "from 0 to 64")),
        (["attack", "RUN:victim", "--updates", "0"], ("updates 0", "at least 1")),
        (["attack", "RUN:victim", "--set", "seeds=2"], ("trains one seed", "leave seeds out")),
        (["attack", "RUN:victim", "--set", "victim=uniform"], ("victim has a place of its own", "leave it out")),
        (["attack", "RUN:victim", "--set", "updats=2"], ("'updats'", "did you mean 'updates'?")),
        (["attack", "RUN:victim", "--minuts", "2"], ("--minuts", "did you mean '--minutes'?")),
        (["attack", "RUN:victim", "--out", "RUN"], ("exists and is not empty", "choose another --out")),
        (["attack", "RUN", "--evaluate"], ("'at-rpg' is no attack", "needs one fixed agent 'victim'")),
        (["attack", "RUN", "--evaluate", "--seed", "3"], ("--seed is about the adversary", "leave it out")),
        (["attack", "ATTACK", "--evaluate", "--updates", "0"], ("updates 0", "at least 1")),
        (["attack", "TMP/none", "--evaluate"], ("TMP/none does not exist", "give the directory")),
        (["certify", "RUN", "--partners", "all"], ("partners is about trained best responses", "is exact")),
        (["certify", "RUN", "--episodes", "9"], ("episodes is about trained best responses", "is exact")),
        (["attack", "RUN:"], ("names no agent", "write RUN:AGENT")),
        (["attack", "RUN:0:@first"], ("names no agent", "write RUN:AGENT")),
        (["certify", "RUN", "--updates", "3"], ("updates is about trained best responses", "add method 'trained'")),
        (["certify", "RUN", "--agent", "victm"], ("no agent 'victm' to certify", "did you mean 'victim'?")),
        (["certify", "RUN", "--run-seed", "9"], ("no seed 9", "it has 0, 1")),
        (["certify", "RUN", "--method", "trained", "--manipulators"], ("exactly only", "leave --manipulators out")),
        (["certify", "RUN", "--method", "trained", "--episodes", "1"], ("episodes 1", "at least 2")),
        (["certify", "RUN", "--method", "trained", "--updates", "0"], ("updates 0", "at least 1")),
        (["certify", "RUN", "--method", "guess"], ("'guess'", "give one of exact, trained")),
        (["certify", "RING", "--method", "exact"], ("'small/ring' is no game that can be enumerated", "'trained'")),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line_and_leaves_nothing_behind(
    finished_run, attack_run, ring_run, tmp_path, capsys, monkeypatch, arguments, says
):
    monkeypatch.chdir(tmp_path)
    places = {"ATTACK": attack_run, "RUN": finished_run, "TMP": tmp_path, "RING": ring_run}

    def placed(text: str) -> str:
        for name, place in places.items():
            if text == name or text.startswith((f"{name}:", f"{name}/")):
                return text.replace(name, str(place), 1)
        return text

    assert main([placed(argument) for argument in arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("rpax: ")
    assert output.err.count("\n") == 1
    for part in says:
        assert placed(part) in output.err
    assert list(tmp_path.iterdir()) == []


NOT_JUDGED = ["attack", "uniform", *THERE, "--algorithm", "ap", "--exact", "--updates", "2", "--replays", "0"]


@pytest.mark.parametrize(("arguments", "told"), [(["--no-best-response"], True), ([], False)])
def test_a_verdict_that_cannot_be_is_said_before_training(arguments, told, tmp_path, capsys, monkeypatch, no_plots):
    monkeypatch.chdir(tmp_path)
    assert main([*NOT_JUDGED, *arguments]) == 0
    output = capsys.readouterr()
    assert ("nobody is known with whom the victim played before" in output.out) == told
    lines = [line for line in output.err.splitlines() if line.startswith("the verdict will be unclear")]
    assert len(lines) == told


def test_a_victim_whose_partners_are_known_is_judged_without_training(finished_run, tmp_path, capsys, no_plots):
    arguments = ["attack", f"{finished_run}:victim", "--no-best-response", "--updates", "2", "--replays", "0"]
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 0
    assert "the verdict will be unclear" not in capsys.readouterr().err
