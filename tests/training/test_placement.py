"""Environments spread over several devices: the same training, up to the order of sums."""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

RING = f"{pathlib.Path(__file__).parents[1] / 'small_game.py'}:small/ring"
SETTINGS = {"network": "mlp", "hidden_sizes": [8], "envs": 16, "steps": 8, "base_update": "pg", "seeds": [0]}
TWO_ALIKE = {"algorithm": "ad-rpg", "environment": RING, "manipulator_entropy": 0.01}
SELF_PLAY = {"algorithm": "sp", "environment": RING}
STEERED = {"algorithm": "ad-rpg", "environment": RING, "seeds": [0, 1], "lookahead": 2, "outer_average": 0.5}
REMEMBERING = {"algorithm": "sp", "environment": RING, "network": "gru"}
TRAIN = """
import json, sys
import jax, numpy as np
from rpax.runs.config import config_from_dict
from rpax.runs.prepare import prepare
from rpax.runs.session import make_environment, make_trainer
from rpax.training.setup import make_problem

config, objective = prepare(config_from_dict(json.loads(sys.argv[1])))
trainer = make_trainer(config, make_problem(config, objective, make_environment(config)))
state, _ = trainer.advance(trainer.init(), 3)
devices = len(state.lookahead_streams.first.sharding.device_set)
np.savez(sys.argv[2], *jax.tree.leaves(state), devices=devices)
"""


def train(file: pathlib.Path, settings: dict[str, Any], devices: int) -> dict[str, np.ndarray]:
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)}
    command = [sys.executable, "-c", TRAIN, json.dumps(SETTINGS | settings), str(file)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return dict(np.load(file))


@pytest.mark.parametrize(
    "settings",
    [TWO_ALIKE, *[pytest.param(its, marks=pytest.mark.slow) for its in (SELF_PLAY, STEERED, REMEMBERING)]],
    ids=["two alike", "self-play", "steered", "remembering"],
)
def test_two_devices_train_what_one_does(tmp_path, settings):
    one, two = (train(tmp_path / f"{devices}.npz", settings, devices) for devices in (1, 2))
    assert one.keys() == two.keys()
    assert (one.pop("devices"), two.pop("devices")) == (1, 2)
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("arguments", "devices"),
    # Environments; then pairings, and with repetitions. Eight pairings with 4 × 32 / 8 = 16 environments each, 24 with
    # fewer each, but 4 × 88 in all, and 8 pairings with too few.
    [("16", 2), ("8", 1), ("17", 1), ("24", 3), ("512", 4), ("4, 8, 32", 2), ("4, 24, 88", 4), ("4, 8, 24", 1)],
)
def test_devices_divide_the_environments_and_get_eight_each_or_many_in_all(arguments, devices):
    code = f"from rpax.training.placement import mesh_for; m = mesh_for({arguments}); print(1 if m is None else m.size)"
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "4"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert int(run.stdout) == devices
