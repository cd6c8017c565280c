"""Nobody reads what the command says any more: it goes on with what it does."""

import os
import subprocess
import sys

import pytest

import rpax
from rpax.cli.output import progress_bar, say

OPTIONS = ["at-rpg", "matrix/figure-2", "--exact", "--updates", "3", "--log-every", "1"]


def test_training_is_finished_when_the_pipe_of_its_complaints_is_closed(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "rpax", "train", *OPTIONS, "--out", str(tmp_path / "run"), "--json"]
    try:
        process = subprocess.run(command, stdout=subprocess.PIPE, stderr=writing, check=False, timeout=300)
    finally:
        os.close(writing)
    assert process.returncode == 0
    run = rpax.load(tmp_path / "run")
    assert (run.status, run.update, len(run.metrics())) == ("finished", 3, 3)


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_and_notes_end_nothing_where_the_terminal_is_gone(terminal, monkeypatch):
    class Gone:
        encoding = "utf-8"

        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

        def flush(self) -> None:
            raise BrokenPipeError

        def isatty(self) -> bool:
            return terminal

        def fileno(self) -> int:
            return 2

    monkeypatch.setattr(sys, "stderr", Gone())
    monkeypatch.setattr("rpax.cli.output._FIRST_LINE", 0.0)
    say("note")
    with progress_bar("x", quiet=False) as progress:
        progress(1, 2, [])
