"""Checkpoints: the whole training state as safetensors, with a manifest that is checked when it is read.

Written under a temporary name, synchronised and renamed, so that a checkpoint is either whole or not there. Any flipped
bit in it is found. Nothing is ever pickled.
"""

import dataclasses
import hashlib
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from safetensors.numpy import save as format_safetensors

from rpax.errors import InputError, shown
from rpax.runs.manifest import (
    DTYPES,
    MANIFEST,
    STATE,
    Manifest,
    Recorded,
    folder_name,
    format_manifest,
    list_checkpoints,
    read_manifest,
    remedy_of,
)
from rpax.runs.writing import synchronise_folder
from rpax.tensor_files import ArrayType, array_type, check_same_arrays, parse_tensors
from rpax.training.problem import TrainState
from rpax.untrusted import read_bounded

KEPT = 2
_ANOTHER_RUN = "is it of this run?"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a checkpoint says beside the state.

    Attributes:
        until: the updates that were asked for.
        metrics: the metrics file, whose lines so far become as durable as the checkpoint.
        config: the configuration.
        objective: the objective.
        ends: all updates that were asked for so far, the first ones first.
        fixed: the SHA-256 of the fixed agents' files, by name.
        machine: what makes the updates.
    """

    until: int
    metrics: pathlib.Path
    config: Recorded
    objective: Recorded
    ends: tuple[int, ...]
    fixed: Mapping[str, str]
    machine: Mapping[str, str | int]


def save_checkpoint(
    folder: pathlib.Path, state: TrainState, update: int, plan: Plan | None = None, kept: int = KEPT
) -> pathlib.Path:
    """Write ``state`` as ``folder/update-XXXXXXXXX`` and drop all but the last ``kept`` checkpoints.

    Args:
        folder: that of all checkpoints.
        state: all that the future depends on.
        update: updates made.
        plan: what else is written down.
        kept: how many checkpoints stay, at least one.

    Raises:
        InputError: an array is of a type that cannot be read back.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = checkpoint_folder(folder, update)
    if final.exists():
        return final
    metrics_bytes = None if plan is None else _synchronise_file(plan.metrics)
    arrays = flatten(state)
    _check_readable(arrays)
    content = format_safetensors(arrays)
    manifest = Manifest(
        update=update,
        until=None if plan is None else plan.until,
        metrics_bytes=metrics_bytes,
        config=None if plan is None else plan.config,
        objective=None if plan is None else plan.objective,
        arrays={name: array_type(array) for name, array in arrays.items()},
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        ends=None if plan is None else plan.ends,
        fixed=None if plan is None else plan.fixed,
        machine=None if plan is None else plan.machine,
    )
    for unfinished in folder.glob(".update-*.part"):
        shutil.rmtree(unfinished, ignore_errors=True)
    temporary = folder / f".{final.name}.part"
    temporary.mkdir()
    _write(temporary / STATE, content)
    _write(temporary / MANIFEST, format_manifest(manifest))
    synchronise_folder(temporary)
    temporary.rename(final)
    synchronise_folder(folder)
    # Which lists the metrics, too.
    synchronise_folder(folder.parent)
    for old in list_checkpoints(folder)[:-kept]:
        # What cannot be removed takes room and no more: the new one is there.
        shutil.rmtree(old, ignore_errors=True)
    return final


def _check_readable(arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise InputError(
                f"checkpoint: array {shown(name)} is {array_type(array)}, a type that checkpoints cannot hold; use one "
                f"of {', '.join(DTYPES)}"
            )


def checkpoint_folder(folder: pathlib.Path, update: int) -> pathlib.Path:
    """Where the checkpoint of an update is, if it is there."""
    return folder / folder_name(update)


def last_checkpoint(folder: pathlib.Path, metrics: pathlib.Path) -> pathlib.Path | None:
    """The newest checkpoint in ``folder``, or ``None`` of a run that did not begin.

    Raises:
        InputError: there is none, but ``metrics`` has lines. Update 0 is saved before the first of them is written, so
            the checkpoints were lost.
    """
    checkpoints = list_checkpoints(folder)
    if not checkpoints and metrics.is_file() and metrics.stat().st_size > 0:
        raise InputError(
            f"run {metrics.parent} has metrics but no checkpoint, so it cannot go on; restore {folder} from a copy, or "
            f"remove {metrics.name} to train anew from update 0"
        )
    return checkpoints[-1] if checkpoints else None


def load_checkpoint(path: pathlib.Path, shape: TrainState) -> tuple[TrainState, int]:
    """Read a checkpoint into the structure ``shape`` (shapes and types only).

    Returns:
        The state, and how many updates had been made.

    Raises:
        InputError: a file is missing, damaged, of a newer format, or belongs to another kind of run.
    """
    arrays, update = read_arrays(path, {name: array_type(leaf) for name, leaf in _leaves(shape)})
    return unflatten(arrays, shape, f"checkpoint {path}"), update


def read_arrays(path: pathlib.Path, needed: Mapping[str, ArrayType] | None = None) -> tuple[dict[str, np.ndarray], int]:
    """The arrays of a checkpoint as :func:`flatten` names them, and how many updates had been made.

    Args:
        path: the checkpoint.
        needed: the arrays of this run; a checkpoint with others is refused before it is read.

    Raises:
        InputError: a file is missing, damaged, of a newer format, or holds other arrays.
    """
    manifest = read_manifest(path)
    where, remedy = f"checkpoint {path}: {STATE}", remedy_of(path)
    if manifest.arrays is not None and needed is not None:
        check_same_arrays(manifest.arrays, needed, f"checkpoint {path}", "this run", _ANOTHER_RUN)
    content = read_bounded(path / STATE, manifest.bytes, where, remedy)
    if len(content) != manifest.bytes or hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise InputError(f"{where} does not match its checksum, it is damaged; {remedy}")
    arrays, _ = parse_tensors(content, where, remedy, manifest.arrays)
    return arrays, manifest.update


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a PyTree by their path, like ``base/victim/seat_0/params/table``."""
    return {name: np.asarray(leaf) for name, leaf in _leaves(tree)}


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves]


def unflatten(arrays: Mapping[str, np.ndarray], shape: Any, where: str) -> Any:
    """The inverse of :func:`flatten`, checked against the structure ``shape``."""
    needed = {name: array_type(leaf) for name, leaf in _leaves(shape)}
    found = {name: array_type(array) for name, array in arrays.items()}
    check_same_arrays(found, needed, where, "this run", _ANOTHER_RUN)
    return jax.tree.unflatten(jax.tree.structure(shape), [arrays[name] for name in needed])


def _write(path: pathlib.Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _synchronise_file(path: pathlib.Path) -> int:
    """Make what others wrote into a file durable; gives its length, 0 where it is not there."""
    try:
        # Windows synchronises only what may be written.
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return 0
