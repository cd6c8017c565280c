"""Nobody reads what the command says or prints any more: it goes on with what it does."""

import os
import subprocess
import sys

import pytest

import rpax
from rpax.cli.main import main
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


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
@pytest.mark.parametrize("options", [["--json"], []])
def test_a_full_disk_behind_standard_output_is_told_as_that(options, tmp_path):
    command = [sys.executable, "-m", "rpax", "train", *OPTIONS, "--out", str(tmp_path / "run"), "--quiet", *options]
    with open("/dev/full", "w", encoding="utf-8") as full:
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=300)
    assert process.returncode == 2
    assert process.stderr == (
        "rpax: standard output cannot be written (No space left on device); make room where it goes; the files that "
        "the command wrote are whole\n"
    )
    assert rpax.load(tmp_path / "run").status == "finished"


def test_a_reader_that_is_gone_ends_nothing(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "rpax", "attack", "[0.8, 0.2]", "--environment", "matrix/figure-2", "--exact"]
    options = ["--updates", "2", "--replays", "0", "--out", str(tmp_path / "run"), "--quiet"]
    try:
        process = subprocess.run(
            [*command, *options], stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=300
        )
    finally:
        os.close(writing)
    assert (process.returncode, process.stderr) == (0, "")
    assert (tmp_path / "run" / "attack.json").is_file(), "it is written after the verdict is told"


def test_a_pipe_that_breaks_elsewhere_is_no_success(monkeypatch):
    def fail(*arguments: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("rpax.cli.list.Command.run", fail)
    with pytest.raises(BrokenPipeError):
        main(["list"])
