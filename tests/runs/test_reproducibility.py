"""The same command gives the same run in another process, whatever order sets and dictionaries of names have there."""

import json
import os
import shutil
import subprocess
import sys

import pytest

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


#: What differs by the number of XLA's threads: sums and products over a long axis, and gradients of kernels.
LONG_SUMS = """
import hashlib, jax, numpy as np
x, y = (jax.random.normal(jax.random.key(n), (4096, 64)) for n in (0, 1))
images = jax.random.normal(jax.random.key(2), (512, 5, 5, 8))
kernel = jax.random.normal(jax.random.key(3), (3, 3, 8, 16))
convolve = lambda kernel: jax.lax.conv_general_dilated(
    images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
)
found = jax.jit(lambda: (x.sum(0), x.T @ y, jax.grad(lambda kernel: (convolve(kernel) ** 2).sum())(kernel)))()
print(hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in found)).hexdigest())
"""


@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_nproc_gives_the_bits_of_so_many_cores_on_any_number(threads):
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        pytest.skip("needs two cores")
    found = set()
    for allowed in (cores[:1], cores):
        command = ["taskset", "-c", ",".join(map(str, allowed)), sys.executable, "-c", LONG_SUMS]
        variables = os.environ | {"NPROC": threads, "JAX_NUM_CPU_DEVICES": "1"}
        found.add(subprocess.run(command, env=variables, capture_output=True, check=True, timeout=300).stdout)
    assert len(found) == 1
