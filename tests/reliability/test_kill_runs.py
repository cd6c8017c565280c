"""Runs that are killed with SIGKILL and resumed are the runs that were not; `kill_runs.py` does so more often."""

import random
import subprocess

import pytest
from kill_runs import CASES, PHASES, Watcher, differences, kill_until_finished, outcome, start


def test_a_run_that_is_killed_in_training_and_resumed_is_the_run_that_was_not(tmp_path):
    for name in ("whole", "run"):
        process = start("exact", tmp_path / name, tmp_path / "cache")
        watcher = Watcher(tmp_path / name)
        while name == "run" and not watcher.training():
            assert process.poll() is None, process.communicate()
        if name == "run":
            process.kill()
        process.communicate(timeout=120)
        assert (process.returncode == 0) == (name == "whole")
    assert (tmp_path / "run" / "lock").exists(), "nobody gave it back"
    resumed = start("exact", tmp_path / "run", tmp_path / "cache")
    _, complaint = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, complaint
    assert differences(tmp_path / "run", outcome(tmp_path / "whole")) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_runs_that_are_killed_at_random_moments_are_the_runs_that_were_not(case, tmp_path):
    seed = random.Random().randrange(2**32)
    for tally, _ in kill_until_finished(case, tmp_path, tmp_path / "cache", kills=5, seed=seed):
        last = tally
    assert last.runs >= 1
    assert last.kills.total() == 5
    assert set(last.kills) <= set(PHASES)


def test_a_difference_is_found(finished_run, tmp_path):
    copied = subprocess.run(["cp", "-r", str(finished_run), str(tmp_path / "run")], check=True)
    assert copied.returncode == 0
    expected = outcome(finished_run)
    assert differences(tmp_path / "run", expected) == []
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write("\n")
    next((tmp_path / "run" / "policies").rglob("*.safetensors")).unlink()
    assert len(differences(tmp_path / "run", expected)) == 2
