"""What people and agents got together, from recordings of games with invented people."""

import dataclasses
import json
import pathlib
from typing import Any

import jax
import numpy as np
import pytest
from small_game import Ring

import rpax
from rpax.cli.main import main
from rpax.errors import InputError
from rpax.policies.sources import find_agent
from rpax.recordings.played import read_played
from rpax.web.game import Game, Programs, Sitter

STAY = 1


def play(folder: pathlib.Path, name: str, seed: int = 0, *, label: str = "Ada", agent: str = "x", seat: int = 0) -> Any:
    """A person who always stays, with an agent that draws."""
    environment = rpax.make("matrix/figure-14")
    sitters = [Sitter(label, None, is_person=True), Sitter(agent, find_agent("uniform", environment))]
    game = Game(Programs(environment), (sitters[seat], sitters[1 - seat]), jax.random.key(seed))
    while not game.over:
        game.step({seat: STAY})
    recording = game.recording()
    folder.mkdir(exist_ok=True)
    recording.save(folder / f"{name}.rpax.json")
    return recording


def test_people_are_counted_by_label_agent_and_seat(tmp_path: pathlib.Path) -> None:
    wanted: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    seeds = iter(range(100))
    for label, agent, seat, count in (("Ada", "x", 0, 4), ("Ada", "x", 1, 2), ("Ada", "y", 0, 1), ("Bob", "x", 0, 3)):
        for _ in range(count):
            number = next(seeds)
            returns = play(tmp_path, str(number), number, label=label, agent=agent, seat=seat).returns
            wanted.setdefault((label, agent, seat), []).append((returns[seat], returns[1 - seat]))
    played = read_played(tmp_path, rpax.make("matrix/figure-14"))
    assert played.left_out == ()
    assert [(each.label, each.agent, each.seat) for each in played.together] == sorted(wanted)
    for each in played.together:
        found = np.array(wanted[each.label, each.agent, each.seat])
        np.testing.assert_allclose(np.sort(each.returns, axis=0), np.sort(found, axis=0))
        told = each.to_dict()
        assert told["person"]["mean"] == pytest.approx(found[:, 0].mean())
        assert told["partner"]["mean"] == pytest.approx(found[:, 1].mean())
        if len(found) == 1:
            assert told["person"]["ci_low"] is None
        if len(found) == 4:
            # Student's t at 97.5 % with 3 degrees of freedom, from tables.
            half = 3.182446 * found[:, 0].std(ddof=1) / 2
            assert told["person"]["ci_high"] - told["person"]["mean"] == pytest.approx(half, rel=1e-5)


def test_what_does_not_count_is_left_out_and_told(tmp_path: pathlib.Path) -> None:
    good = play(tmp_path, "a-good")
    good.save(tmp_path / "b-copy.rpax.json")
    dataclasses.replace(good, rewards=good.rewards + 1).save(tmp_path / "c-forged.rpax.json")
    both = tuple(dataclasses.replace(player, kind="agent") for player in good.players)
    dataclasses.replace(good, players=both).save(tmp_path / "d-agents.rpax.json")
    dataclasses.replace(good, events=()).save(tmp_path / "e-broken-off.rpax.json")
    other = dataclasses.replace(good.environment, name="matrix/figure-2")
    dataclasses.replace(good, environment=other).save(tmp_path / "f-other.rpax.json")
    (tmp_path / "g-damaged.rpax.json").write_text("{")
    (tmp_path / "h-link.rpax.json").symlink_to("/dev/zero")
    (tmp_path / "notes.txt").write_text("nothing")
    played = read_played(tmp_path, rpax.make("matrix/figure-14"))
    assert [len(each.returns) for each in played.together] == [1]
    why = {pathlib.Path(file).name.partition(".")[0]: reason for file, reason in played.left_out}
    assert why["b-copy"] == "is the same episode as a-good.rpax.json"
    assert "its rewards are not those of its actions" in why["c-forged"]
    assert why["d-agents"] == "is no episode of a person with an agent, but of agent and agent"
    assert why["e-broken-off"] == "was broken off"
    assert why["f-other"] == "is of 'matrix/figure-2', not of 'matrix/figure-14'"
    assert "is no recording" in why["g-damaged"]
    assert "is no regular file" in why["h-link"]
    assert len(why) == 7


def test_folders_without_recordings_are_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        read_played(tmp_path / "nothing", Ring())
    with pytest.raises(InputError, match=r"holds no recording \(\*.rpax.json\)"):
        read_played(tmp_path, Ring())


def test_cross_play_adds_people(
    tmp_path: pathlib.Path, finished_run: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = rpax.make("matrix/figure-2")
    agent = rpax.load(finished_run).agent("victim")
    sitters = (Sitter("run:0:victim", agent), Sitter("Ada", None, is_person=True))
    game = Game(Programs(environment), sitters, jax.random.key(1))
    game.step({1: 0})
    (tmp_path / "plays").mkdir()
    game.recording().save(tmp_path / "plays" / "one.rpax.json")
    (tmp_path / "plays" / "two.rpax.json").write_text("[]")
    arguments = ["cross-play", str(finished_run), "--episodes", "4", "--quiet", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--played", str(tmp_path / "plays"), "--json"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)["played"]
    payoff = [[1, 0, -1], [0, 1, -1]][game.episode.actions[0, 0]][0]
    assert told["together"] == [
        {
            "label": "Ada",
            "agent": "run:0:victim",
            "seat": 1,
            "episodes": 1,
            "person": {"mean": payoff, "ci_low": None, "ci_high": None},
            "partner": {"mean": payoff, "ci_low": None, "ci_high": None},
        }
    ]
    assert "left out: " in captured.err
    assert main([*arguments, "--played", str(tmp_path / "plays")]) == 0
    assert "people with agents" in capsys.readouterr().out
    assert main([*arguments, "--played", str(tmp_path / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err
