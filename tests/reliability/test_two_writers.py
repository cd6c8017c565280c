"""While one process writes a run directory, another is refused in a line, and readers are not."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

import rpax
from rpax.cli.main import main
from rpax.errors import InputError
from rpax.runs.attack import evaluate_attack
from rpax.runs.lock import RunLock


def test_a_run_in_training_is_read_but_not_resumed_or_written_by_another_process(tmp_path, capsys):
    run = tmp_path / "run"
    options = ["--exact", "--updates", "100000000", "--log-every", "1", "--out", str(run), "--quiet"]
    command = [sys.executable, "-m", "rpax", "train", "sp", "matrix/figure-2", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            patience = time.monotonic() + 120
            while not (run / "metrics.jsonl").exists() or not (run / "metrics.jsonl").stat().st_size:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < patience
            assert main(["resume", str(run), "--quiet"]) == 2
            line = capsys.readouterr().err
            assert line.startswith(f"rpax: run directory {run} is being written by process {process.pid} on host ")
            assert socket.gethostname() in line
            assert main(["train", *command[4:]]) == 2
            assert "exists and is not empty" in capsys.readouterr().err
            before = os.stat(run / "config.yaml").st_mtime_ns
            assert main(["resume", str(run), "--until", "5", "--quiet"]) == 2
            assert os.stat(run / "config.yaml").st_mtime_ns == before
            loaded = rpax.load(run)
            assert (loaded.status, len(loaded.metrics()) > 0) == ("unfinished", True)
        finally:
            process.kill()
    # Its owner was killed, so the lock that lies there is no obstacle.
    assert (run / "lock").exists()
    last = max((run / "checkpoints").iterdir()).name.rpartition("-")[2]
    assert main(["resume", str(run), "--until", str(int(last) + 1), "--quiet"]) == 0


@pytest.fixture(scope="module")
def attack_run(tmp_path_factory) -> pathlib.Path:
    """The directory of an attack that was trained and never judged."""
    path = tmp_path_factory.mktemp("attack") / "run"
    rpax.train("ap", "matrix/figure-2", victim="[0.8, 0.2]", exact=True, updates=2, out=path)
    return path


def test_while_an_attack_is_judged_no_other_process_writes_its_directory(attack_run, tmp_path):
    run, phases = shutil.copytree(attack_run, tmp_path / "run"), []

    @contextlib.contextmanager
    def phase(what: str) -> Iterator[Any]:
        with pytest.raises(InputError, match="is being written by process"):
            RunLock(run).acquire()
        phases.append(what)
        yield lambda update, until, rows: None

    evaluate_attack(rpax.load(run), updates=1, replays=1, phase=phase)
    assert phases[-2:] == ["playing", "replays"]
    assert (run / "attack.json").is_file()
    assert not (run / "lock").exists()


def test_an_attack_whose_directory_is_written_by_another_is_not_judged(attack_run, tmp_path, capsys):
    run = shutil.copytree(attack_run, tmp_path / "run")
    other = RunLock(run)
    other.acquire()
    assert main(["attack", str(run), "--evaluate", "--quiet"]) == 2
    output, complaint = capsys.readouterr()
    assert output == ""
    assert complaint.startswith(f"rpax: run directory {run} is being written by process {os.getpid()} on host ")
    assert not (run / "attack.json").exists()
    assert other.held
    assert (run / "lock").exists(), "it is the other one's"


def test_gaps_are_printed_and_not_written_into_a_run_that_another_process_writes(finished_run, tmp_path, capsys):
    run = shutil.copytree(finished_run, tmp_path / "run", ignore=shutil.ignore_patterns("certificates.json"))
    other = RunLock(run)
    other.acquire()
    assert main(["certify", str(run)]) == 0
    output, complaint = capsys.readouterr()
    assert "victim  seat 0  gap " in output
    assert f"certificates.json could not be written (run directory {run} is being written by process" in complaint
    assert not (run / "certificates.json").exists()
    other.release()
    assert main(["certify", str(run), "--quiet"]) == 0
    assert (run / "certificates.json").exists()
    assert not (run / "lock").exists()
