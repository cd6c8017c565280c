"""Environments spread over several devices: the same training, up to the order of sums."""

import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

SETTINGS = ["--network", "mlp", "--hidden-sizes", "8", "--envs", "16", "--steps", "8", "--updates", "3"]
SELF_PLAY = ["sp", "extensive/g1"]
STEERED = [
    "ad-rpg",
    "storm",
    "--lookahead",
    "2",
    "--manipulator-entropy",
    "0.01",
    "--outer-average",
    "0.5",
    "--seeds",
    "2",
]
REMEMBERING = ["sp", "storm", "--network", "gru"]


def train(folder, algorithm: list[str], devices: int) -> dict[str, np.ndarray]:
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)}
    name, environment_name, *its_settings = algorithm
    command = [sys.executable, "-m", "rpax", "train", name, environment_name, *SETTINGS, *its_settings]
    subprocess.run([*command, "--quiet", "--out", str(folder)], env=environment, check=True, capture_output=True)
    return load_file(max(folder.glob("checkpoints/*/state.safetensors")))


@pytest.mark.parametrize(
    "algorithm", [SELF_PLAY, *[pytest.param(a, marks=pytest.mark.slow) for a in (STEERED, REMEMBERING)]], ids="_".join
)
def test_two_devices_train_what_one_does(tmp_path, algorithm):
    one, two = train(tmp_path / "one", algorithm, 1), train(tmp_path / "two", algorithm, 2)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("envs", "devices"), [(16, 2), (8, 1), (17, 1), (24, 3), (512, 4)])
def test_devices_divide_the_environments_and_get_eight_each(envs, devices):
    code = f"from rpax.training.placement import mesh_for; m = mesh_for({envs}); print(1 if m is None else m.size)"
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "4"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert int(run.stdout) == devices
