"""Where metrics go: JSON lines always, TensorBoard and Weights & Biases if asked for."""

import contextlib
import errno
import importlib
import itertools
import json
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from rpax.errors import InputError
from rpax.runs.writing import write_text, write_whole, writing
from rpax.untrusted import NotStrictJSON, parse_json, read_json

#: One line of metrics: ``update`` and ``seed``, and nested mappings of numbers.
Row = Mapping[str, Any]
#: optional sink -> the package it needs; the sink's name is also that of the extra.
_PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}


@runtime_checkable
class Sink(Protocol):
    """Takes lines of metrics; the training loop knows no more about loggers than this."""

    def write(self, row: Row) -> None:
        """Take one line."""
        ...

    def close(self) -> None:
        """No more lines will come."""
        ...


class JsonLines:
    """Appends to ``metrics.jsonl``, after cutting off what lies beyond the update a run goes on from.

    Lines that are damaged are taken out; the file as it was then stays as ``metrics.jsonl.damaged``.

    Args:
        path: the file.
        resume_at: the update that the run goes on from.
        length: of the file, in bytes, when that update was saved; ``None`` where it is not known.

    Attributes:
        note: what a user should know of the file, in a line, or ``None``.

    Raises:
        InputError: the file is a link, or none.
        Unwritable: it cannot be written, or has vanished.
    """

    def __init__(self, path: pathlib.Path, resume_at: int, length: int | None = None) -> None:
        self._path, self.note = path, None
        with writing(path):
            _refuse_links(path)
            path.touch()
            end, is_sound = _end_of_lines(path, resume_at, length)
            if not is_sound:
                self.note = self._keep_aside(resume_at, end)
            elif path.stat().st_nlink > 1:
                # It is also somebody else's, under another name.
                write_whole(path, lambda temporary: shutil.copyfile(path, temporary))
            self._file = path.open("ab")
            if is_sound:
                # In place, so that it needs no room and no line changes.
                self._file.truncate(end)

    def _keep_aside(self, resume_at: int, end: int) -> str:
        """Go on with the lines before ``end`` that are sound."""
        places = (self._path.with_name(f"{self._path.name}.damaged{i or ''}") for i in itertools.count())
        damaged = next(place for place in places if not os.path.lexists(place))
        write_whole(damaged, lambda temporary: shutil.copyfile(self._path, temporary))
        write_whole(self._path, lambda temporary: _copy_sound_lines(self._path, temporary, resume_at, end))
        return f"{self._path} has damaged lines, which are left out; as it was, it is kept as {damaged}"

    def write(self, row: Row) -> None:
        """Append one line."""
        with writing(self._path):
            self._file.write(json.dumps(row).encode() + b"\n")
            self._file.flush()
            if _is_removed(self._file.fileno()):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def close(self) -> None:
        """Close the file."""
        # What could not be written was told of when it was written.
        with contextlib.suppress(OSError):
            self._file.close()


def _is_removed(descriptor: int) -> bool:
    """Whether an open file is in no folder any more, so that nobody could read what is written to it."""
    return os.fstat(descriptor).st_nlink == 0


def _refuse_links(path: pathlib.Path) -> None:
    """Nothing is written through a link, which may lead to anything; nor into what is no file."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise InputError(f"{path} is a link or no file, to which nothing is written; put the file itself there")


def row_of(line: bytes) -> dict[str, Any] | None:
    """What a line says; ``None`` where it is damaged or was cut off."""
    try:
        row = parse_json(line, finite=False) if line.endswith(b"\n") else None
    except NotStrictJSON:
        return None
    sound = isinstance(row, dict) and type(row.get("update")) is int and type(row.get("seed")) is int
    return row if sound else None


def _end_of_lines(path: pathlib.Path, update: int, length: int | None) -> tuple[int, bool]:
    """How many bytes hold the lines up to an update, and whether none of these lines is damaged.

    Where the file is not shorter by now than ``length``, they are among that many bytes, all of which are such lines.
    """
    known = length is not None and path.stat().st_size >= length
    position, end, is_sound, all_sound, damaged = 0, 0, True, True, False
    with path.open("rb") as file:
        for line in file:
            if known and position >= (length or 0):
                break
            row = row_of(line)
            position += len(line)
            if row is not None and row["update"] <= update:
                # What was passed over on the way here was damaged.
                end, is_sound = position, all_sound
                continue
            all_sound, damaged = False, damaged or row is None
            if row is not None and not known:
                break
    return end, is_sound and not (known and damaged)


def _copy_sound_lines(path: pathlib.Path, copy: pathlib.Path, update: int, end: int) -> None:
    with path.open("rb") as file, copy.open("wb") as kept:
        while file.tell() < end and (line := file.readline()):
            row = row_of(line)
            if row is not None and row["update"] <= update:
                kept.write(line)


class TensorBoard:
    """Scalars for TensorBoard, needs ``rpax[tensorboard]``."""

    def __init__(self, path: pathlib.Path, resume_at: int) -> None:
        # What was written beyond, by a session that was killed, is not shown twice. Files are named by the second.
        self._writer = import_package("tensorboard").SummaryWriter(
            str(path), purge_step=resume_at + 1, filename_suffix=f".{resume_at}"
        )

    def write(self, row: Row) -> None:
        """Write every number of the line under ``seed-S/…``."""
        for name, value in numbers_of(row):
            self._writer.add_scalar(f"seed-{row['seed']}/{name}", value, row["update"])

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


class WeightsAndBiases:
    """Numbers for Weights & Biases, needs ``rpax[wandb]``; its own environment variables choose project and mode.

    All sessions of a run are one run there, by an identifier that lies in the run directory.
    """

    def __init__(self, path: pathlib.Path, name: str, config: Mapping[str, Any]) -> None:
        package = import_package("wandb")
        identifier = os.environ.get("WANDB_RUN_ID") or _identifier(path / "wandb.json")
        self._run = package.init(dir=str(path), name=name, id=identifier, config=dict(config), resume="allow")

    def write(self, row: Row) -> None:
        """Log every number of the line; lines of several seeds share an update."""
        named = {f"seed-{row['seed']}/{name}": value for name, value in numbers_of(row)}
        # A step that it has already, which is the same, is left out there.
        self._run.log({"update": row["update"], **named}, step=row["update"])

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def _identifier(file: pathlib.Path) -> str:
    """What is in the file, made at the first call."""
    if not file.is_file():
        write_text(file, json.dumps({"id": secrets.token_hex(8)}) + "\n")
    remedy = "remove it, and go on as another run there"
    content = read_json(file, remedy)
    identifier = content.get("id") if isinstance(content, dict) else None
    if not isinstance(identifier, str) or not re.fullmatch(r"[0-9a-f]{16}", identifier):
        raise InputError(f"{file} is damaged; {remedy}")
    return identifier


def import_package(sink: str) -> Any:
    """The package that an optional sink needs.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(_PACKAGES[sink])
    except ImportError:
        raise InputError(f"sink {sink} needs {_PACKAGES[sink]}; install rpax[{sink}]") from None


def make_sinks(names: Iterable[str], path: pathlib.Path, config: Mapping[str, Any], resume_at: int = 0) -> list[Sink]:
    """The optional sinks of a run in directory ``path`` that goes on from an update; all of them, or none is open."""
    made: list[Sink] = []
    with contextlib.ExitStack() as opened:
        for name in names:
            if name == "tensorboard":
                made.append(TensorBoard(path / "tensorboard", resume_at))
            else:
                made.append(WeightsAndBiases(path, path.name, config))
            opened.callback(made[-1].close)
        opened.pop_all()
    return made


def read_rows(path: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of a metrics file; those that are damaged, and a last one that was cut off, are left out."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        rows = [row_of(line) for line in file]
    return [row for row in rows if row is not None]


def numbers_of(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in nested mappings and lists, with names like ``returns/victim vs adversary/0``."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from numbers_of(value, f"{prefix}{name}/")
        elif isinstance(value, list):
            yield from numbers_of({str(i): entry for i, entry in enumerate(value)}, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name not in ("update", "seed"):
            yield f"{prefix}{name}", value
