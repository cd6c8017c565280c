"""Damaged and hostile files: what is read is what was written, or one error names the file; nothing in them is run.

The long ones, 20,000 mutated checkpoints, 20,000 policies and 20,000 other files:
``pytest -n 0 -s -m slow tests/reliability/test_mutated_files.py``
"""

import collections
import hashlib
import io
import json
import os
import pathlib
import pickle
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from mutations import Mutator, sealed
from safetensors.numpy import load as load_tensors

import rpax
from rpax.environments.jaxmarl.layouts import OWN, check_layout, read_layout
from rpax.environments.payoffs import check_payoffs, read_payoffs
from rpax.errors import InputError
from rpax.evaluation.cross_play import Entrant
from rpax.objectives.files import load_objective
from rpax.policies.files import load_policy
from rpax.reproduce.cells import read_cell
from rpax.runs.cell_store import CellStore
from rpax.runs.checkpoint import flatten, load_checkpoint, save_checkpoint
from rpax.runs.config import config_from_dict, read_settings
from rpax.runs.directory import RunDirectory
from rpax.training.problem import TrainState

GOLDEN = pathlib.Path(__file__).parent.parent / "data" / "runs"
#: The most that a message says beside the file's path.
MOST_TEXT = 1200


@pytest.fixture(autouse=True)
def canary(tmp_path, monkeypatch):
    """The command that code in a file would run; fails where one did, or where anything was unpickled."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "canary"

    def never(*arguments: Any, **options: Any) -> None:
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, never)
    yield f"touch {file}"
    assert not file.exists()


def read_or_refused(read: Callable[[], Any], file: pathlib.Path) -> Any:
    """What is read, or ``None`` where one line says which file is wrong."""
    try:
        return read()
    except InputError as error:
        message = str(error)
        assert str(file) in message, message[:1000]
        assert "\n" not in message, message[:1000]
        assert message.isprintable(), message[:1000]
        assert len(message.replace(str(file), "")) <= MOST_TEXT, message[:1000]
        return None


STATE = TrainState(
    base={"victim": {"shared": np.arange(6, dtype=np.float32).reshape(2, 1, 3)}},
    base_optimizer={"victim": (np.ones(2), np.int32(4))},
    manipulators={},
    manipulator_optimizer={},
    critics=np.zeros((2, 0), np.float16),
    critic_optimizer=(),
    lookahead_streams=None,
    outer_streams=None,
    outer_gradients={},
    key=np.arange(4, dtype=np.uint32).reshape(2, 2),
    update=np.array([7, 7], np.int32),
    partners={"partner": np.array([True, False])},
)
SHAPE = jax.tree.map(np.zeros_like, STATE)


def resealed(manifest: Any) -> bytes:
    """A manifest with the checksum that belongs to what it says."""
    if isinstance(manifest, dict):
        content = {name: value for name, value in manifest.items() if name != "sha256"}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        manifest = content | {"sha256": hashlib.sha256(text.encode()).hexdigest()}
    return json.dumps(manifest, indent=1).encode()


def mutate_checkpoint(mutator: Mutator, manifest: bytes, state: bytes) -> tuple[bytes, bytes, bool]:
    """Both files, and whether the checksum of the arrays was forged with them."""
    kind = mutator.draw.randrange(6)
    if kind == 0:
        return mutator.bytes(manifest), state, False
    if kind == 1:
        return mutator.text(manifest), state, False
    if kind == 2:
        return manifest, mutator.bytes(state), False
    if kind == 3:
        return manifest, mutator.tensors(state), False
    if kind == 4:
        return resealed(mutator.json(json.loads(manifest))), state, False
    # An attacker who can compute checksums.
    content = mutator.tensors(state)
    about = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return resealed(json.loads(manifest) | {"files": {"state.safetensors": about}}), content, True


def mutated_checkpoints(folder: pathlib.Path, count: int, seed: int, command: str) -> collections.Counter[str]:
    """How many were refused, and how many read as they were written."""
    path = save_checkpoint(folder, STATE, 7)
    files = [path / "manifest.json", path / "state.safetensors"]
    originals = [file.read_bytes() for file in files]
    expected = flatten(STATE)
    mutator, found = Mutator(seed, command), collections.Counter[str]()
    for _ in range(count):
        *contents, forged = mutate_checkpoint(mutator, *originals)
        for file, content in zip(files, contents, strict=True):
            overwrite(file, content)
        result = read_or_refused(lambda: load_checkpoint(path, SHAPE), path)
        found["refused" if result is None else "read"] += 1
        if result is None:
            continue
        arrays, update = flatten(result[0]), result[1]
        assert update == 7
        assert arrays.keys() == expected.keys()
        for name, array in arrays.items():
            assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape)
            assert forged or array.tobytes() == expected[name].tobytes()
    return found


def overwrite(file: pathlib.Path, content: bytes) -> None:
    """As ``write_bytes`` does, which waits for the disk where it empties a file first."""
    with file.open("r+b" if file.exists() else "wb") as opened:
        opened.write(content)
        opened.truncate()


class Kind(NamedTuple):
    """A kind of file: where it lies in a folder, what is in it, how it is read, and how it is mutated."""

    name: str
    content: bytes
    read: Callable[[pathlib.Path], Any]
    mutate: str = "text"


def read_run_results(path: pathlib.Path) -> Any:
    return RunDirectory(path.parent).read_results() and rpax.load(path.parent)


class Fingerprinted(Entrant):
    """An agent of which no more is known than its fingerprint."""

    lasts = True  # type: ignore[assignment]

    def __init__(self, fingerprint: str) -> None:
        # A cached property, that so needs not be computed.
        vars(self)["fingerprint"] = fingerprint


def read_cells(path: pathlib.Path) -> Any:
    """The cell, or ``None`` where its line is left out as if it had not been played."""
    found = CellStore(path.parent).read([Fingerprinted(CELL["row"]), Fingerprinted(CELL["column"])])
    assert set(found) <= {(0, 1)}
    return found.get((0, 1))


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


#: Short, as most of the time goes into reading YAML.
SETTINGS = b"""\
algorithm: at-rpg
environment: matrix/figure-2  # a game
seeds: [0, 5]
exact: true
lookahead-rate: 1e-1
payoffs: null
environment_options: {horizon: 20, name: "a b"}
hidden_sizes:
- 64
- 32
victim: runs/x:victim
sinks: []
"""
EXACT = GOLDEN / "schema-2" / "exact"
#: Of format 2, whose checksum tells what was changed.
POLICY_FILE = GOLDEN / "schema-2" / "fixed" / "policies" / "seed-0" / "adversary.safetensors"
POLICY = POLICY_FILE.read_bytes()
SCHEME = {"scheme": "fcp", "stages": [{"folder": "pool/one", "about": "self-play"}, {"folder": ".", "about": "last"}]}
CELL = {"row": "a" * 64, "column": "b" * 64, "mean": [1.0, 0.5, 0.75], "std": [0.1, 0.2, 0.1], "episodes": 10}
KINDS = {
    "settings": Kind("settings.yaml", SETTINGS, lambda p: config_from_dict(read_settings(p), f"{p}:")),
    "configuration of a run": Kind(
        "config.yaml", (EXACT / "config.yaml").read_bytes(), lambda p: RunDirectory(p.parent).read_config()
    ),
    "objective": Kind("objective.yaml", (EXACT / "objective.yaml").read_bytes(), load_objective),
    "payoffs, JSON": Kind("payoffs.json", b"[[[1, 0, -1], [0, 1.5, -1]], [[1, 2, 3], [4, 5, 6]]]", read_payoffs),
    "payoffs, CSV": Kind("payoffs.csv", b"1, 0, -1\n0, 1, -1\n\n1, 2, 3\n4, 5, 6e0\n", read_payoffs),
    "payoffs, NPY": Kind("payoffs.npy", npy(np.arange(12.0).reshape(2, 2, 3)), read_payoffs, "bytes"),
    "layout": Kind("layout.txt", OWN["forced_split_pot"].encode(), read_layout),
    "results of a run": Kind("results.json", (EXACT / "results.json").read_bytes(), read_run_results, "json"),
    "scheme of a run": Kind(
        "scheme.json", json.dumps(SCHEME).encode(), lambda p: RunDirectory(p.parent).stages(), "json"
    ),
    "cells of a cross-play": Kind("cells.jsonl", json.dumps(CELL).encode() + b"\n", read_cells, "json"),
    "cell of a reproduction": Kind(
        "cell.json", json.dumps({"settings": {"seed": 0}, "found": CELL}).encode(), read_cell, "json"
    ),
}


def mutated(mutator: Mutator, kind: Kind) -> bytes:
    """The content of a file of this kind after accidents and attacks."""
    if kind.mutate == "json" and mutator.draw.random() < 0.5:
        return json.dumps(mutator.json(json.loads(kind.content))).encode()
    if kind.mutate == "bytes":
        return mutator.pickled if mutator.draw.random() < 0.01 else mutator.bytes(kind.content)
    return mutator.text(kind.content)


def mutate_policy(mutator: Mutator, content: bytes) -> tuple[bytes, bool]:
    """A policy file after accidents and attacks, and whether its checksum was forged with what it says."""
    kind = mutator.draw.randrange(5)
    if kind == 0:
        return mutator.bytes(content), False
    if kind == 1:
        return mutator.tensors(content), False
    length = int.from_bytes(content[:8], "little")
    header, rest = json.loads(content[8 : 8 + length]), content[8 + length :]
    about = json.loads(header["__metadata__"]["rpax"])
    if kind == 2:  # other numbers, whose checksum is left as it is
        place = mutator.draw.randrange(len(rest))
        return content[: 8 + length + place] + mutator.draw.randbytes(1) + rest[place + 1 :], False
    about = mutator.json(about)
    forged = kind == 4 and isinstance(about, dict)
    if forged:
        arrays = load_tensors(content)
        kinds = {name: [array.dtype.name, [*array.shape]] for name, array in arrays.items()}
        said = {name: value for name, value in about.items() if name != "sha256"}
        text = json.dumps([said, kinds], sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode() + b"".join(arrays[name].tobytes() for name in sorted(arrays)))
        about = said | {"sha256": digest.hexdigest()}
    changed = json.dumps(header | {"__metadata__": {"rpax": json.dumps(about)}}).encode()
    return sealed(changed, rest), forged


def mutated_policies(folder: pathlib.Path, count: int, seed: int, command: str) -> collections.Counter[str]:
    """How many were refused, and how many read: exactly as they were written, unless the checksum was forged."""
    mutator, found = Mutator(seed, command), collections.Counter[str]()
    path, (policy, parameters, header) = folder / POLICY_FILE.name, load_policy(POLICY_FILE)
    expected = flatten(parameters)
    for _ in range(count):
        content, forged = mutate_policy(mutator, POLICY)
        overwrite(path, content)
        result = read_or_refused(lambda: load_policy(path), path)
        found["refused" if result is None else "forged" if forged else "read"] += 1
        if result is None:
            continue
        arrays = flatten(result[1])
        assert arrays.keys() == expected.keys() or forged
        for name, array in arrays.items():
            assert array.dtype.kind == "f"
            assert forged or (array.dtype, array.tobytes()) == (expected[name].dtype, expected[name].tobytes())
        assert forged or result[2] == header
        assert forged or (result[0].networks, result[0].spaces) == (policy.networks, policy.spaces)
    return found


def mutated_files(folder: pathlib.Path, names: list[str], count: int, seed: int, command: str) -> dict[str, Any]:
    """Of each kind, how many were refused and how many read."""
    mutator = Mutator(seed, command)
    found = {name: collections.Counter[str]() for name in names}
    for name in names:
        place = folder / name.replace(",", "").replace(" ", "-")
        place.mkdir()
        shutil.copy(EXACT / "config.yaml", place)
        shutil.copy(EXACT / "objective.yaml", place)
        kind = KINDS[name]
        path = place / kind.name
        for _ in range(count):
            overwrite(path, mutated(mutator, kind))
            result = read_or_refused(lambda kind=kind, path=path: kind.read(path), path)
            found[name]["refused" if result is None else "read"] += 1
            if name.startswith("payoffs") and result is not None:
                assert np.isfinite(check_payoffs(result)).all()
            if name == "cells of a cross-play" and result is not None:
                assert [len(result.mean), len(result.std)] == [3, 3]
                assert {type(value) for value in (*result.mean, *result.std)} <= {int, float}
                assert np.isfinite([*result.mean, *np.square(result.std)]).all()
                assert min(result.std) >= 0
                assert result.episodes > 0
            if name == "layout" and result is not None:
                check_layout(result)
            if name == "scheme of a run":
                for stage in result or ():
                    assert place.resolve() in stage.path.resolve().parents
    return found


def test_mutated_checkpoints_are_refused_or_read_as_they_were_written(tmp_path, canary):
    found = mutated_checkpoints(tmp_path / "checkpoints", 400, 1, canary)
    assert found["refused"] > 300


@pytest.mark.parametrize("name", KINDS)
def test_mutated_files_are_refused_or_valid(name, tmp_path, canary):
    # Few changes leave a cell that counts.
    found = mutated_files(tmp_path, [name], 300 if name == "cells of a cross-play" else 60, 2, canary)
    assert found[name]["refused"] > 0
    if name == "cells of a cross-play":
        assert found[name]["read"] > 0


def test_mutated_policies_are_refused_or_read_as_they_were_written(tmp_path, canary):
    found = mutated_policies(tmp_path, 150, 3, canary)
    assert found["refused"] > 100


@pytest.mark.slow
def test_twenty_thousand_mutated_checkpoints(tmp_path, canary):
    found = mutated_checkpoints(tmp_path / "checkpoints", 20_000, 4, canary)
    print(dict(found))
    assert found.total() == 20_000


@pytest.mark.slow
def test_twenty_thousand_mutated_policies(tmp_path, canary):
    found = mutated_policies(tmp_path, 20_000, 6, canary)
    print(dict(found))
    assert found.total() == 20_000


@pytest.mark.slow
def test_twenty_thousand_mutated_files(tmp_path, canary):
    found = mutated_files(tmp_path, [*KINDS], -(-20_000 // len(KINDS)), 5, canary)
    for name, counts in found.items():
        print(name, dict(counts))
    assert sum(counts.total() for counts in found.values()) >= 20_000


def test_files_that_would_run_code_or_fill_the_memory_are_refused(tmp_path, canary):
    mutator = Mutator(0, canary)
    objects = io.BytesIO()
    np.save(objects, np.array([[mutator.pickled, 1], [2, 3]], dtype=object), allow_pickle=True)
    sparse = tmp_path / "sparse.npy"
    with sparse.open("wb") as file:
        file.truncate(10**12)
    contents = {
        "objects.npy": objects.getvalue(),
        "pickled.npy": mutator.pickled,
        "claims.npy": npy(np.zeros((2, 2))).replace(b"(2, 2)", b"(9**9,"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: not a plain NPY array"):
            read_payoffs(tmp_path / name)
    with pytest.raises(InputError, match="larger than 10000000 bytes"):
        read_payoffs(sparse)
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("endless.json", "pipe.json"):
        with pytest.raises(InputError, match=f"{name}: is no regular file; copy what it gives into one"):
            read_payoffs(tmp_path / name)
    pickled = tmp_path / "pickled.safetensors"
    pickled.write_bytes(mutator.pickled)
    with pytest.raises(InputError, match="no safetensors file"):
        load_policy(pickled)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "l0: &l0 [x, x]\n" + "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9)),
            "repeats more than",
        ),
        ("a: &a [*a]", "has an alias for what it is in"),
        ("a: " + "[" * 70 + "]" * 70, "is nested more than 64 levels deep"),
        ("a: " + "[" * 9000, "is nested more than 64 levels deep"),
        ("seed: " + "9" * 2000, "has a number of more than 1000 digits"),
        ("seed: !!bool maybe", "is no YAML"),
        ("seed: !!python/object/apply:os.getcwd []", "is no YAML"),
    ],
)
def test_yaml_that_means_harm_is_named(text, says, tmp_path):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"config file .*x\.yaml: .*{says}"):
        read_settings(tmp_path / "x.yaml")


@pytest.mark.parametrize("folder", ["", ".", "./", "link"])
def test_a_scheme_is_no_stage_of_itself(folder, tmp_path):
    (tmp_path / "link").symlink_to(".")
    (tmp_path / "config.yaml").write_bytes(SETTINGS)
    (tmp_path / "scheme.json").write_text(json.dumps({"scheme": "fcp", "stages": [{"folder": folder, "about": ""}]}))
    assert RunDirectory(tmp_path).stages() == []


def test_yaml_with_honest_aliases_is_read(tmp_path):
    (tmp_path / "x.yaml").write_text("hidden_sizes: &sizes [8, 8]\nchannels: *sizes\n")
    assert read_settings(tmp_path / "x.yaml") == {"hidden_sizes": [8, 8], "channels": [8, 8]}


@pytest.mark.parametrize(
    "folder", ["../elsewhere", "/etc", "a/../../x", "C:\\x", "..\\x", "link/x", "a\x1b", "x" * 300]
)
def test_a_scheme_cannot_lead_out_of_its_run(folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "link").symlink_to(tmp_path)
    (run / "scheme.json").write_text(json.dumps({"scheme": "fcp", "stages": [{"folder": folder, "about": ""}]}))
    with pytest.raises(InputError, match=r"scheme\.json: path .* leads out of"):
        RunDirectory(run).stages()
