"""`rpax play`: what it refuses, and what a process of its own does until it ends."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from rpax.cli import play
from rpax.cli.main import main
from rpax.recordings.recording import Recording

pytest.importorskip("fastapi", reason="needs the extra [web]")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a wrong command ends with."""
    assert main(["play", *arguments, "--no-browser"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("rpax: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_wrong_input_is_told_in_a_line(
    finished_run: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(finished_run)
    assert "has no config.yaml; give the directory" in refused(capsys, str(tmp_path))
    assert "has no agent 'victm'; did you mean 'victim'?" in refused(capsys, run, "--agent", "victm")
    assert "has no seed 7" in refused(capsys, run, "--agent", "victim", "--run-seed", "7")
    assert "has no seed 9" in refused(capsys, run, "--agent", "9:victim")
    assert "agent 'victim' plays seat 0 only" in refused(capsys, run, "--agent", "victim", "--seat", "0")
    assert "seat 3 is not allowed" in refused(capsys, run, "--agent", "victim", "--seat", "3")
    assert "cannot be read" in refused(capsys, run, "--agent", str(finished_run / "nothing.safetensors"))
    assert "label '' is not allowed" in refused(capsys, run, "--label", "")
    assert "port 99999 is not allowed" in refused(capsys, run, "--port", "99999")
    assert "rate 10 needs an action for those who do nothing" in refused(capsys, run, "--rate", "10")
    assert "leave one of them out" in refused(capsys, run, "--blind", "--advice", "victim")
    assert "--seat 'two' is not allowed" in refused(capsys, run, "--seat", "two")
    assert "unknown to 'rpax play'; did you mean '--blind'?" in refused(capsys, run, "--blnd")
    other = tmp_path / "other.txt"
    other.write_text("")
    assert "recordings cannot be written to" in refused(capsys, run, "--out", str(other / "plays"))


def test_an_agent_that_does_not_fit_and_a_run_without_policies_are_told(
    finished_run: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import rpax

    rpax.train("at-rpg", "matrix/figure-13", exact=True, updates=1, out=tmp_path / "same")
    rpax.train("sp", "extensive/g1", exact=True, updates=1, out=tmp_path / "g1")
    told = refused(capsys, str(finished_run), "--agent", f"{tmp_path / 'g1'}:base_0")
    assert "was trained for spaces" in told
    assert "give an agent of this environment" in told
    unfinished = tmp_path / "unfinished"
    shutil.copytree(tmp_path / "same", unfinished)
    (unfinished / "results.json").unlink()
    assert "has no policies yet; finish it with `rpax resume`" in refused(capsys, str(unfinished))


def test_a_missing_extra_is_told(
    finished_run: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None)
    assert "run pip install 'rpax[web]'" in refused(capsys, str(finished_run))


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["play", "--help"])
    assert "rpax play runs/x --agent base_1 --seat 1" in capsys.readouterr().out


class Process:
    """`rpax play` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "rpax", "play", *arguments, "--no-browser", "--port", "0"]
        environment = {**os.environ, "DISPLAY": ""}
        self.running = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    @property
    def url(self) -> str:
        assert self.running.stdout is not None
        return self.running.stdout.readline().strip()

    def ended(self) -> tuple[int, str]:
        _, told = self.running.communicate(timeout=60)
        return self.running.returncode, told


@pytest.fixture
def start() -> Iterator[Any]:
    started: list[Process] = []

    def begin(*arguments: str) -> Process:
        started.append(Process(*arguments))
        return started[-1]

    yield begin
    for process in started:
        process.running.kill()
        process.running.communicate()


def test_it_ends_after_the_last_episode(finished_run: pathlib.Path, tmp_path: pathlib.Path, start: Any) -> None:
    from websockets.sync.client import connect

    out = tmp_path / "plays"
    process = start(str(finished_run), "--episodes", "1", "--agent", "victim", "--label", "P07", "--out", str(out))
    place = urllib.parse.urlsplit(process.url)
    assert place.hostname == "127.0.0.1"
    with connect(f"ws://{place.netloc}/play/socket", origin=f"http://{place.netloc}", open_timeout=20) as talking:  # type: ignore[arg-type]
        welcome = json.loads(talking.recv(20))
        assert (welcome["seat"], welcome["partners"][0]["name"], welcome["rate"]) == (1, "victim", 0)
        talking.send(json.dumps({"type": "start", "partner": 0, "seat": 1}))
        assert json.loads(talking.recv(20))["type"] == "begin"
        assert json.loads(talking.recv(20))["type"] == "frame"
        talking.send(json.dumps({"type": "act", "action": 2, "step": 0, "number": 1}))
        frame, end = (json.loads(talking.recv(20)) for _ in range(2))
        assert frame["rewards"] == [-1, -1], "column E sabotages"
        assert end["all_played"]
    status, told = process.ended()
    assert status == 0
    assert "1 episode played" in told
    (file,) = out.iterdir()
    recording = Recording.load(file)
    assert recording.players[1].name == "P07"
    assert recording.players[0].name == f"{finished_run.name}:0:victim"
    assert recording.simulate().returns == (-1, -1)


@pytest.mark.parametrize("tries", [1, 2])
def test_episodes_that_were_not_written_are_tried_again_at_the_end_and_told(
    finished_run: pathlib.Path,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tries: int,
) -> None:
    make_host, hosts = play.Command._make_host, []
    save, failed = Recording.save, []

    def keep_host(command: Any) -> Any:
        hosts.append(make_host(command))
        return hosts[-1]

    def fail_at_first(recording: Any, path: Any) -> None:
        if len(failed) < tries:
            failed.append(path)
            raise OSError(28, "No space left on device")
        save(recording, path)

    def play_once(app: Any, listening: Any, **options: Any) -> None:
        listening.socket.close()
        game = hosts[-1].new_game(0, 1)
        game.step({1: 2})
        hosts[-1].finish(game)

    monkeypatch.setattr(play.Command, "_make_host", keep_host)
    monkeypatch.setattr(Recording, "save", fail_at_first)
    monkeypatch.setattr("rpax.web.server.run_server", play_once)
    out = tmp_path / "plays"
    status = main(["play", str(finished_run), "--agent", "victim", "--out", str(out), "--no-browser", "--port", "0"])
    told = capsys.readouterr().err.splitlines()[-1]
    if tries == 1:
        assert (status, told) == (0, f"1 episode played; recordings are in {out}")
        assert len([*out.iterdir()]) == 1
    else:
        assert status == 2
        assert told == f"rpax: 1 of 1 episode lost, as {out} cannot be written (No space left on device)"


def test_a_signal_ends_it_with_status_130(finished_run: pathlib.Path, start: Any) -> None:
    process = start(str(finished_run), "--host", "0.0.0.0")
    token = urllib.parse.parse_qs(urllib.parse.urlsplit(process.url).query)["token"][0]
    assert len(token) >= 32
    process.running.send_signal(signal.SIGTERM)
    status, told = process.ended()
    assert status == 130
    assert "rpax: interrupted" in told
    assert not (finished_run / "plays").exists()
