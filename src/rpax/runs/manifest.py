"""The manifest of a checkpoint: what lies beside it, whose it is, and a checksum of itself. Never imports JAX.

Schema 2, a JSON mapping::

    schema, rpax     2, and the version of rpax that wrote it
    libraries        versions of Python and of the libraries that results depend on
    machine          backend, devices and threads that made the updates
    update, until    updates made, and those that were asked for
    ends             all those that were asked for so far, the first ones first
    metrics_bytes    how long metrics.jsonl was
    config           what the future depends on: {sha256, values}, and free, what it does not depend on
    objective        the same of the objective
    fixed            fixed agent -> the SHA-256 of its file in the run directory
    files            file name -> {sha256, bytes}
    arrays           name -> {dtype, shape}, of every array in state.safetensors
    sha256           of all this, as :func:`_digest` writes it

``machine``, ``ends`` and ``fixed`` may be missing. Schema 1 has ``schema``, ``rpax``, ``update`` and ``files`` only.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import pathlib
import platform
from collections.abc import Callable, Mapping
from typing import Any

from rpax._version import __version__
from rpax.errors import InputError, shown
from rpax.tensor_files import ArrayType, as_shape, is_size
from rpax.untrusted import MOST_ARRAYS, MOST_MANIFEST, NotStrictJSON, check_keys, parse_json, read_bounded

SCHEMA = 2
MANIFEST, STATE = "manifest.json", "state.safetensors"
_LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "safetensors")
#: The types of the arrays that can be read back.
DTYPES = ("bool", *(f"{kind}{bits}" for kind in ("uint", "int", "float") for bits in (8, 16, 32, 64)))
#: What schema 2 did not have at first.
_LATER = ("machine", "ends", "fixed")
_HEX = frozenset("0123456789abcdef")
_QUOTE = "'"


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a checkpoint says of a configuration or an objective.

    Attributes:
        sha256: of ``values``, written out in full.
        values: what the future depends on; a text ``sha256:…`` for those that are long.
        free: what it does not depend on.
    """

    sha256: str
    values: Mapping[str, Any]
    free: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"sha256": self.sha256, "values": dict(self.values), "free": dict(self.free)}


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What is known of a checkpoint before its arrays are read.

    Attributes:
        update: updates made.
        until: those that were asked for; ``None`` where it is not said.
        metrics_bytes: how long the metrics file was; ``None`` where it is not said.
        config: of the run; ``None`` where it is not said.
        objective: of the run; ``None`` where it is not said.
        arrays: the types of all arrays, by name; ``None`` where only the file with them says so.
        sha256: of the file with the arrays.
        bytes: of the file with the arrays.
        libraries: versions by name.
        ends: all updates that were asked for so far, the first ones first; ``None`` where it is not said.
        fixed: the SHA-256 of the fixed agents' files, by name; ``None`` where it is not said.
        machine: what made the updates; ``None`` where it is not said.
    """

    update: int
    until: int | None
    metrics_bytes: int | None
    config: Recorded | None
    objective: Recorded | None
    arrays: Mapping[str, ArrayType] | None
    sha256: str
    bytes: int
    libraries: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ends: tuple[int, ...] | None = None
    fixed: Mapping[str, str] | None = None
    machine: Mapping[str, str | int] | None = None


def format_manifest(manifest: Manifest) -> bytes:
    """The file's content, in the newest schema."""
    assert manifest.arrays is not None, "only files of schema 1 leave them out"
    content = {
        "schema": SCHEMA,
        "rpax": __version__,
        "libraries": library_versions(),
        "machine": None if manifest.machine is None else dict(manifest.machine),
        "update": manifest.update,
        "until": manifest.until,
        "ends": None if manifest.ends is None else list(manifest.ends),
        "metrics_bytes": manifest.metrics_bytes,
        "config": None if manifest.config is None else manifest.config.to_dict(),
        "objective": None if manifest.objective is None else manifest.objective.to_dict(),
        "fixed": None if manifest.fixed is None else dict(manifest.fixed),
        "files": {STATE: {"sha256": manifest.sha256, "bytes": manifest.bytes}},
        "arrays": {name: {"dtype": kind.dtype, "shape": list(kind.shape)} for name, kind in manifest.arrays.items()},
    }
    return json.dumps(content | {"sha256": _digest(content)}, indent=1).encode()


@functools.cache
def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a run's bits depend on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _LIBRARIES}


def canonical(content: object) -> str:
    """JSON text that is the same for equal content.

    >>> canonical({"b": 1, "a": [2.0]})
    '{"a":[2.0],"b":1}'
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_of(content: object) -> str:
    """The SHA-256 of :func:`canonical`."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def _digest(content: Mapping[str, Any]) -> str:
    return sha256_of({name: value for name, value in content.items() if name != "sha256"})


def read_manifest(checkpoint: pathlib.Path) -> Manifest:
    """The manifest of a checkpoint, of whichever schema it is.

    Raises:
        InputError: it is missing, damaged, of a newer schema, or of another update than its folder says.
    """
    where, remedy = f"checkpoint {checkpoint}", remedy_of(checkpoint)
    raw = read_bounded(checkpoint / MANIFEST, MOST_MANIFEST, f"{where}: {MANIFEST}", remedy)
    try:
        content = parse_json(raw)
        schema = content.get("schema") if isinstance(content, dict) else None
        if type(schema) is int and schema > SCHEMA:
            raise InputError(
                f"{where}: {MANIFEST} has format {shown(schema)}; this rpax {__version__} reads formats 1 to {SCHEMA}; "
                f"use rpax {shown(content.get('rpax')).strip(_QUOTE)}, which wrote it"
            )
        manifest = _read_content(content)
    except NotStrictJSON as error:
        raise InputError(f"{where}: {MANIFEST} is damaged, it {error}; {remedy}") from None
    if checkpoint.name != folder_name(manifest.update):
        raise InputError(f"{where}: {MANIFEST} is that of update {manifest.update}, it is damaged; {remedy}")
    return manifest


def folder_name(update: int) -> str:
    """What the folder of an update's checkpoint is called."""
    return f"update-{update:09d}"


def list_checkpoints(folder: pathlib.Path) -> list[pathlib.Path]:
    """The whole checkpoints in ``folder``, oldest first."""
    found = (path for path in folder.glob("update-*") if path.is_dir() and path.name[7:].isdecimal())
    return sorted(found, key=lambda path: int(path.name[7:]))


def saved_updates(folder: pathlib.Path) -> list[int]:
    """The updates of the whole checkpoints in ``folder``, ascending."""
    return [int(path.name[7:]) for path in list_checkpoints(folder)]


def remedy_of(checkpoint: pathlib.Path) -> str:
    """What helps where a checkpoint is damaged: without another one, its run cannot go on."""
    if any(path.name != checkpoint.name for path in list_checkpoints(checkpoint.parent)):
        return "remove it to go on from the one before"
    return "it is the only one, so the run cannot go on; restore it from a copy, or train anew"


def migrate_1_to_2(content: dict[str, Any]) -> dict[str, Any]:
    """A manifest of schema 1 in the words of schema 2, where what schema 1 did not say is ``None``."""
    check_keys(content, {"schema": int, "rpax": str, "update": int, "files": dict})
    unsaid = dict.fromkeys(("until", "metrics_bytes", "config", "objective", "arrays"))
    migrated = {**content, "schema": 2, "libraries": {}, **unsaid}
    return migrated | {"sha256": _digest(migrated)}


#: schema -> what makes the next one of it.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: migrate_1_to_2}


def _read_content(content: object) -> Manifest:
    if not isinstance(content, dict) or type(content.get("schema")) is not int:
        raise NotStrictJSON("says no format")
    while content["schema"] != SCHEMA:
        if content["schema"] not in MIGRATIONS:
            raise NotStrictJSON(f"has the unknown format {shown(content['schema'])}")
        content = MIGRATIONS[content["schema"]](content)
    number, mapping, several = (int, type(None)), (dict, type(None)), (list, type(None))
    check_keys(
        content,
        {
            "schema": int,
            "rpax": str,
            "libraries": dict,
            "machine": mapping,
            "update": int,
            "until": number,
            "ends": several,
            "metrics_bytes": number,
            "config": mapping,
            "objective": mapping,
            "fixed": mapping,
            "files": dict,
            "arrays": mapping,
            "sha256": str,
        },
        _LATER,
    )
    if content["sha256"] != _digest(content):
        raise NotStrictJSON("does not match its own checksum")
    check_keys(content["libraries"], dict.fromkeys(content["libraries"], str))
    for name in ("update", "until", "metrics_bytes"):
        if content[name] is not None and not is_size(content[name]):
            raise NotStrictJSON(f"has {shown(content[name])} for '{name}'")
    file = check_keys(check_keys(content["files"], {STATE: dict})[STATE], {"sha256": str, "bytes": int})
    if not _is_digest(file["sha256"]) or not 0 <= file["bytes"] <= MOST_ARRAYS:
        raise NotStrictJSON(f"has {shown(file)} for '{STATE}'")
    arrays = None if content["arrays"] is None else {n: _array_of(n, e) for n, e in content["arrays"].items()}
    if arrays is not None and sum(kind.bytes for kind in arrays.values()) > file["bytes"]:
        raise NotStrictJSON(f"lists arrays that are larger than '{STATE}'")
    config, objective = (_recorded_of(content[name]) for name in ("config", "objective"))
    return Manifest(
        update=content["update"],
        until=content["until"],
        metrics_bytes=content["metrics_bytes"],
        config=config,
        objective=objective,
        arrays=arrays,
        **file,
        libraries=content["libraries"],
        **_later_of(content),
    )


def _later_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """What schema 2 did not have at first, checked; ``None`` where it is not said."""
    machine, ends, fixed = (content.get(name) for name in _LATER)
    if machine is not None:
        check_keys(machine, dict.fromkeys(machine, (str, int)))
    if ends is not None and not (ends and all(map(is_size, ends))):
        raise NotStrictJSON(f"has {shown(ends)} for 'ends'")
    for name, digest in (fixed or {}).items():
        if not isinstance(digest, str) or not _is_digest(digest):
            raise NotStrictJSON(f"has {shown(digest)} for {shown(name)}")
    return {"machine": machine, "ends": None if ends is None else tuple(ends), "fixed": fixed}


def _is_digest(text: str) -> bool:
    return len(text) == 64 and _HEX.issuperset(text)


def _array_of(name: str, entry: object) -> ArrayType:
    about = check_keys(entry, {"dtype": str, "shape": list})
    if about["dtype"] not in DTYPES:
        raise NotStrictJSON(f"has array {shown(name)} of the unknown type {shown(about['dtype'])}")
    return ArrayType(about["dtype"], as_shape(about["shape"]))


def _recorded_of(entry: object) -> Recorded | None:
    if entry is None:
        return None
    return Recorded(**check_keys(entry, {"sha256": str, "values": dict, "free": dict}))
