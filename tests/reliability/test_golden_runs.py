"""Run directories in each version of the checkpoint format are read, resumed, and come out as new ones do."""

import importlib.util
import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

import rpax
from rpax.policies.files import SCHEMA as POLICY_SCHEMA
from rpax.policies.files import load_policy
from rpax.runs.checkpoint import list_checkpoints, read_arrays
from rpax.runs.manifest import MIGRATIONS, SCHEMA, read_manifest

pytestmark = pytest.mark.usefixtures("no_plots")

GOLDEN = pathlib.Path(__file__).parent.parent / "data" / "runs"
ROOT = GOLDEN.parent.parent.parent
#: Kinds of run that have a run directory in every format, and those that have one in the newest.
ALWAYS, NEWEST = ("exact", "sampled"), ("exact", "sampled", "fixed", "gru", "fcp")


def settings_of(mode: str) -> dict[str, Any]:
    """What the run directories were made with."""
    spec = importlib.util.spec_from_file_location("make", GOLDEN / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    settings = {**module.SETTINGS[mode], "updates": 8, "log_every": 4}
    if "victim" in settings:
        settings["victim"] = str(ROOT / settings["victim"])
    return settings


def last_arrays(run: pathlib.Path, update: int) -> dict[str, np.ndarray]:
    arrays, found = read_arrays(
        next(path for path in list_checkpoints(run / "checkpoints") if int(path.name[7:]) == update)
    )
    assert found == update
    return arrays


@pytest.fixture(scope="module", params=NEWEST)
def uninterrupted(request, tmp_path_factory) -> tuple[str, pathlib.Path]:
    """A run of today that was never stopped, with all its checkpoints."""
    path = tmp_path_factory.mktemp("golden") / "whole"
    rpax.train(**settings_of(request.param) | {"checkpoint_minutes": 1e-9, "checkpoints_kept": 9}, out=path)
    return request.param, path


def test_a_run_of_every_format_is_resumed_as_if_it_had_never_stopped(uninterrupted, tmp_path):
    mode, whole = uninterrupted
    for schema in range(1 if mode in ALWAYS else SCHEMA, SCHEMA + 1):
        check_resumed(GOLDEN / f"schema-{schema}" / mode, schema, whole, tmp_path / str(schema))


def check_resumed(golden: pathlib.Path, schema: int, whole: pathlib.Path, run: pathlib.Path) -> None:
    """Whether a run directory of a format goes on, in ``run``, to what became of the ``whole`` run."""
    shutil.copytree(golden, run)
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
    found = {path.name: {mode.name for mode in path.iterdir()} for path in GOLDEN.glob("schema-*")}
    names = [f"schema-{n}" for n in range(1, SCHEMA + 1)]
    assert found == {name: {*ALWAYS} for name in names[:-1]} | {names[-1]: {*NEWEST}}
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA))


def test_a_manifest_of_format_1_says_what_it_knows_and_no_more():
    manifest = read_manifest(GOLDEN / "schema-1" / "exact" / "checkpoints" / "update-000000004")
    assert (manifest.update, manifest.bytes) == (4, 552)
    assert (manifest.until, manifest.metrics_bytes, manifest.config, manifest.arrays) == (None, None, None, None)


def test_policies_of_every_format_lie_there_and_are_read():
    found = {}
    for file in GOLDEN.rglob("*.safetensors"):
        if file.name == "state.safetensors":
            continue
        with safe_open(file, "np") as opened:
            schema = json.loads(opened.metadata()["rpax"])["schema"]
        found.setdefault(schema, []).append(load_policy(file)[2]["sha256"])
    assert sorted(found) == list(range(1, POLICY_SCHEMA + 1))
    assert set(found[1]) == {None}
    assert None not in found[2]
