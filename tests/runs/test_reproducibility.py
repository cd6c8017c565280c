"""The same command gives the same run in another process, whatever order sets and dictionaries of names have there."""

import json
import os
import subprocess
import sys

COMMAND = ["at", "matrix/figure-2", "--victim-self-play", "0.2", "--updates", "2", "--envs", "3", "--quiet"]


def test_two_processes_with_different_hashing_make_the_same_run(tmp_path):
    processes = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "rpax", "train", *COMMAND, "--out", str(tmp_path / seed)]
        # Each compiles its own program.
        environment = os.environ | {"PYTHONHASHSEED": seed, "RPAX_CACHE": "off"}
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    for process in processes:
        _, complaint = process.communicate(timeout=300)
        assert process.returncode == 0, complaint.decode()
    one, other = tmp_path / "1", tmp_path / "2"
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    manifests = [json.loads(max(run.glob("checkpoints/*/manifest.json")).read_text()) for run in (one, other)]
    assert manifests[0]["files"]["state.safetensors"]["sha256"] == manifests[1]["files"]["state.safetensors"]["sha256"]
    assert manifests[0] == manifests[1]
    for name in ("config.yaml", "objective.yaml", "versions.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    results = [json.loads((run / "results.json").read_text()) | {"run_dir": None} for run in (one, other)]
    assert results[0] == results[1]
