"""Checkpoints: the whole training state as safetensors, with a manifest that is checked when it is read.

Written under a temporary name, synchronised and renamed, so that a checkpoint is either whole or not there. Nothing is
ever pickled.
"""

import hashlib
import json
import os
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_safetensors
from safetensors.numpy import save as format_safetensors

from rpax._version import __version__
from rpax.errors import InputError
from rpax.training.problem import TrainState

SCHEMA = 1
KEPT = 2
_STATE, _MANIFEST = "state.safetensors", "manifest.json"


def save_checkpoint(folder: pathlib.Path, state: TrainState, update: int) -> pathlib.Path:
    """Write ``state`` as ``folder/update-XXXXXXXXX`` and drop all but the last ``KEPT`` checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    final = checkpoint_folder(folder, update)
    if final.exists():
        return final
    content = format_safetensors(flatten(state))
    manifest = {
        "schema": SCHEMA,
        "rpax": __version__,
        "update": update,
        "files": {_STATE: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}},
    }
    temporary = folder / f".{final.name}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    _write(temporary / _STATE, content)
    _write(temporary / _MANIFEST, json.dumps(manifest, indent=1).encode())
    temporary.rename(final)
    _synchronise(folder)
    for old in list_checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)
    return final


def checkpoint_folder(folder: pathlib.Path, update: int) -> pathlib.Path:
    """Where the checkpoint of an update is, if it is there."""
    return folder / f"update-{update:09d}"


def list_checkpoints(folder: pathlib.Path) -> list[pathlib.Path]:
    """The whole checkpoints in ``folder``, oldest first."""
    return sorted(path for path in folder.glob("update-*") if path.is_dir())


def load_checkpoint(path: pathlib.Path, shape: TrainState) -> tuple[TrainState, int]:
    """Read a checkpoint into the structure ``shape`` (shapes and types only).

    Returns:
        The state, and how many updates had been made.

    Raises:
        InputError: a file is missing, damaged, of a newer format, or belongs to another kind of run.
    """
    arrays, update = read_arrays(path)
    return unflatten(arrays, shape, f"checkpoint {path}"), update


def read_arrays(path: pathlib.Path) -> tuple[dict[str, np.ndarray], int]:
    """The arrays of a checkpoint as :func:`flatten` names them, and how many updates had been made.

    Raises:
        InputError: a file is missing, damaged, or of a newer format.
    """
    remedy = "remove it to go on from the one before"
    try:
        manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        content = (path / _STATE).read_bytes()
        schema, expected = manifest["schema"], manifest["files"][_STATE]["sha256"]
        update = int(manifest["update"])
    except OSError as error:
        raise InputError(f"checkpoint {path}: cannot be read ({error.strerror}); {remedy}") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"checkpoint {path}: {_MANIFEST} is damaged; {remedy}") from None
    if schema != SCHEMA:
        raise InputError(
            f"checkpoint {path}: format {schema}, this rpax reads format {SCHEMA}; use rpax {manifest.get('rpax')}"
        )
    if hashlib.sha256(content).hexdigest() != expected:
        raise InputError(f"checkpoint {path}: {_STATE} does not match its checksum, it is damaged; {remedy}")
    try:
        arrays = parse_safetensors(content)
    except SafetensorError:
        raise InputError(f"checkpoint {path}: {_STATE} is no safetensors file; {remedy}") from None
    return arrays, update


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a PyTree by their path, like ``base/victim/seat_0/params/table``."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def unflatten(arrays: dict[str, np.ndarray], shape: Any, where: str) -> Any:
    """The inverse of :func:`flatten`, checked against the structure ``shape``."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(shape)
    found = []
    for path, leaf in leaves:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        array = arrays.get(name)
        if array is None:
            raise InputError(f"{where}: array '{name}' is missing; is it of this run?")
        if array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise InputError(
                f"{where}: array '{name}' is {array.dtype}{list(array.shape)}, "
                f"this run needs {leaf.dtype}{list(leaf.shape)}; is it of this run?"
            )
        found.append(array)
    return jax.tree.unflatten(structure, found)


def _write(path: pathlib.Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _synchronise(folder: pathlib.Path) -> None:
    """Make a rename durable; Windows cannot open folders and needs no such thing."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
