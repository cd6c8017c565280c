"""Run directories in each version of the checkpoint format are read, resumed, and come out as new ones do."""

import importlib.util
import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest

import rpax
from rpax.runs.checkpoint import list_checkpoints, read_arrays
from rpax.runs.manifest import MIGRATIONS, SCHEMA, read_manifest

pytestmark = pytest.mark.usefixtures("no_plots")

GOLDEN = pathlib.Path(__file__).parent.parent / "data" / "runs"


def settings_of(mode: str) -> dict[str, Any]:
    """What the run directories were made with."""
    spec = importlib.util.spec_from_file_location("make", GOLDEN / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {**module.SETTINGS[mode], "updates": 8, "log_every": 4}


def last_arrays(run: pathlib.Path, update: int) -> dict[str, np.ndarray]:
    arrays, found = read_arrays(
        next(path for path in list_checkpoints(run / "checkpoints") if int(path.name[7:]) == update)
    )
    assert found == update
    return arrays


@pytest.fixture(scope="module", params=["exact", "sampled"])
def uninterrupted(request, tmp_path_factory) -> tuple[str, pathlib.Path]:
    """A run of today that was never stopped, with all its checkpoints."""
    path = tmp_path_factory.mktemp("golden") / "whole"
    rpax.train(**settings_of(request.param), out=path, checkpoint_minutes=1e-9, checkpoints_kept=9)
    return request.param, path


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_a_run_of_every_format_is_resumed_as_if_it_had_never_stopped(schema, uninterrupted, tmp_path):
    mode, whole = uninterrupted
    run = shutil.copytree(GOLDEN / f"schema-{schema}" / mode, tmp_path / "run")
    before = last_arrays(run, 4)
    manifest = json.loads((run / "checkpoints" / "update-000000004" / "manifest.json").read_text())
    assert manifest["schema"] == schema
    assert rpax.load(run).update == 4

    resumed = rpax.resume(run)
    assert (resumed.status, resumed.update) == ("finished", 8)
    expected = last_arrays(whole, 4)
    # Where this machine makes the same bits in the first four updates, it does in the others. Elsewhere a sum may be
    # rounded otherwise: by 1e-7 in float32, which updates of these games do not enlarge a hundredfold.
    alike = all(before[name].tobytes() == expected[name].tobytes() for name in expected)
    for name, array in last_arrays(whole, 8).items():
        found = last_arrays(run, 8)[name]
        assert (found.shape, found.dtype) == (array.shape, array.dtype)
        if alike:
            assert found.tobytes() == array.tobytes(), name
        else:
            np.testing.assert_allclose(found, array, rtol=1e-5, atol=1e-5, err_msg=name)
    lines, whole_lines = ((folder / "metrics.jsonl").read_text().splitlines() for folder in (run, whole))
    assert [json.loads(line)["update"] for line in lines] == [json.loads(line)["update"] for line in whole_lines]
    if alike:
        assert lines == whole_lines


def test_every_format_has_a_run_directory_and_a_way_to_the_next_one():
    assert sorted(path.name for path in GOLDEN.glob("schema-*")) == [f"schema-{n}" for n in range(1, SCHEMA + 1)]
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA))


def test_a_manifest_of_format_1_says_what_it_knows_and_no_more():
    manifest = read_manifest(GOLDEN / "schema-1" / "exact" / "checkpoints" / "update-000000004")
    assert (manifest.update, manifest.bytes) == (4, 552)
    assert (manifest.until, manifest.metrics_bytes, manifest.config, manifest.arrays) == (None, None, None, None)
