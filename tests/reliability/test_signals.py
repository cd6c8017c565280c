"""SIGTERM and SIGINT in each phase of a run: exit status 130, and `rpax resume` goes on as if nothing had been."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from kill_runs import Watcher, differences, outcome

import rpax
from rpax.cli.main import main
from rpax.runs.interruption import interruptions

UPDATES = 300
OPTIONS = ["at-rpg", "matrix/figure-2", "--exact", "--updates", str(UPDATES), "--log-every", "1"]
#: A checkpoint after every update, so that saving is met.
OFTEN = ["--checkpoint-minutes", "1e-9"]


def start(run: pathlib.Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rpax", "train", *OPTIONS, *options, "--out", str(run), "--json", "--quiet"]
    environment = os.environ | variables
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def interrupt(process: subprocess.Popen[str], when: Callable[[], bool], number: int) -> str:
    """Send a signal as soon as ``when`` holds; what the process then complains of."""
    patience = time.monotonic() + 120
    try:
        while not when():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < patience, "the moment never came"
        process.send_signal(number)
        output, complaint = process.communicate(timeout=60)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == 130, complaint
    assert output == ""
    assert complaint.splitlines()[-1] == "rpax: interrupted"
    assert "Traceback" not in complaint
    return complaint


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """What comes of the run that is not interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    process = start(run)
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    return outcome(run)


def resume(run: pathlib.Path, whole: dict[str, bytes], *but: str) -> None:
    assert not (run / "lock").exists(), "it was given back"
    assert main(["resume", str(run), "--quiet"]) == 0
    assert [name for name in differences(run, whole) if name not in but] == []


def config_is_there(run: pathlib.Path) -> bool:
    return (run / "config.yaml").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_before_jax_is_imported(number, tmp_path):
    run = tmp_path / "run"
    complaint = interrupt(start(run), lambda: config_is_there(run), number)
    assert complaint == "rpax: interrupted\n"
    assert (rpax.load(run).status, rpax.load(run).update) == ("unfinished", 0)
    assert not (run / "checkpoints").exists()
    assert not (run / "lock").exists()


def test_while_compiling_it_ends_at_once_as_nothing_is_lost(tmp_path, whole):
    run = tmp_path / "run"
    # Optimised and not cached, so that compiling takes seconds.
    slow = {"RPAX_CACHE": "off", "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}
    saved = run / "checkpoints" / "update-000000000"
    complaint = interrupt(start(run, **slow), saved.exists, signal.SIGTERM)
    assert complaint == "rpax: interrupted\n"
    assert (rpax.load(run).status, rpax.load(run).update) == ("unfinished", 0)
    resume(run, whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_while_training_it_saves_the_updates_in_progress(number, tmp_path, whole):
    run = tmp_path / "run"
    watcher = Watcher(run)
    process = start(run)
    complaint = interrupt(process, watcher.training, number)
    assert "stopping after the updates in progress" in complaint
    stopped = rpax.load(run)
    assert stopped.status == "interrupted"
    assert 0 < stopped.update < UPDATES
    assert (run / "checkpoints" / f"update-{stopped.update:09d}").is_dir()
    assert stopped.metrics()[-1]["update"] == stopped.update
    assert stopped.agent("victim").policy is not None
    assert stopped.results == ()
    if number == signal.SIGTERM:
        resume(run, whole)


def test_while_saving_what_is_saved_is_whole(tmp_path, whole):
    run = tmp_path / "run"
    watcher = Watcher(run)
    process = start(run, *OFTEN)
    interrupt(process, lambda: watcher.training() and watcher.saving(), signal.SIGTERM)
    assert not watcher.saving(), "nothing half written is left"
    assert rpax.load(run).update > 0
    # How often it saves is in its configuration, and in what a checkpoint says of that.
    resume(run, whole, "config.yaml", f"checkpoints/update-{UPDATES:09d}/manifest.json")


@pytest.mark.parametrize("shown", ["checkpoints/update-000000300", "plots/learning-curves.png"])
def test_while_evaluating_and_drawing_it_ends_at_once_and_is_evaluated_again(shown, tmp_path, whole):
    run = tmp_path / "run"
    process = start(run)
    interrupt(process, (run / shown).exists, signal.SIGTERM)
    assert not (run / "results.json").exists(), "it is written last"
    resume(run, whole)
    assert json.loads((run / "results.json").read_text())["status"] == "finished"


#: The main thread stays in one call, as in a compilation, during which Python runs no signal handler.
BUSY = """
import hashlib, sys
from rpax.runs.interruption import end_on_signals, interruptions
end_on_signals()
with interruptions() as loop:
    loop.unsaved = {unsaved}
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha512", b"", b"", 2**31 - 1)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("unsaved", [False, True])
def test_one_signal_ends_a_long_call_where_nothing_is_lost_and_a_second_one_any(unsaved, number):
    command = [sys.executable, "-c", BUSY.format(unsaved=unsaved)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "busy\n"
        process.send_signal(number)
        if unsaved:
            assert "once more to stop without saving" in process.stderr.readline()
            assert process.poll() is None
            process.send_signal(number)
        assert process.stderr.read() == "rpax: interrupted\n"
        assert process.wait(timeout=30) == 130


IGNORING = """
import os, signal
from rpax.runs.interruption import end_on_signals, interruptions
signal.signal(signal.SIGINT, signal.SIG_IGN)
{watch}
with interruptions() as loop:
    os.kill(os.getpid(), signal.SIGINT)
    print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, loop.wait(0.3), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    loop.unsaved or print(loop.wait(10))
"""


@pytest.mark.parametrize("watch", ["", "end_on_signals()"])
def test_a_signal_that_is_ignored_on_purpose_stays_ignored_and_the_other_one_is_not(watch):
    """As scripts do for what they start in the background."""
    command = [sys.executable, "-c", IGNORING.format(watch=watch)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout.startswith("True False\n"), ended.stderr
    assert ended.returncode == (130 if watch else 0)
    assert ("interrupted" if watch else "stopping after the updates in progress") in ended.stderr


def test_a_handler_that_is_none_of_pythons_is_left_alone(monkeypatch):
    """As of a program in which Python is embedded: it could not be put back."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(signal, "getsignal", lambda number: None if number == signal.SIGTERM else before)
    changed = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: changed.append(number))
    with interruptions():
        pass
    assert set(changed) <= {signal.SIGINT}
