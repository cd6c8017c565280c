"""While one process writes a run directory, another is refused in a line, and readers are not."""

import os
import socket
import subprocess
import sys
import time

import rpax
from rpax.cli.main import main


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
