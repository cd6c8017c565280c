"""Where metrics go: JSON lines always, TensorBoard and Weights & Biases if asked for."""

import contextlib
import errno
import importlib
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from rpax.errors import InputError
from rpax.runs.writing import writing

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

    Raises:
        Unwritable: the file cannot be written, or has vanished.
    """

    def __init__(self, path: pathlib.Path, resume_at: int) -> None:
        self._path = path
        with writing(path):
            self._file = path.open("ab")
            # In place, so that it needs no room and no line changes.
            self._file.truncate(_end_of_lines(path, resume_at))

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


def _end_of_lines(path: pathlib.Path, update: int) -> int:
    """How many bytes hold the lines up to an update; none after one that is damaged or was cut off."""
    end = 0
    with path.open("rb") as file:
        for line in file:
            try:
                if not line.endswith(b"\n") or json.loads(line)["update"] > update:
                    break
            except (ValueError, KeyError, TypeError):
                break
            end += len(line)
    return end


class TensorBoard:
    """Scalars for TensorBoard, needs ``rpax[tensorboard]``."""

    def __init__(self, path: pathlib.Path) -> None:
        self._writer = import_package("tensorboard").SummaryWriter(str(path))

    def write(self, row: Row) -> None:
        """Write every number of the line under ``seed-S/…``."""
        for name, value in numbers_of(row):
            self._writer.add_scalar(f"seed-{row['seed']}/{name}", value, row["update"])

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


class WeightsAndBiases:
    """Numbers for Weights & Biases, needs ``rpax[wandb]``; its own environment variables choose project and mode."""

    def __init__(self, path: pathlib.Path, name: str, config: Mapping[str, Any]) -> None:
        self._run = import_package("wandb").init(dir=str(path), name=name, config=dict(config), resume="allow")

    def write(self, row: Row) -> None:
        """Log every number of the line; lines of several seeds share an update."""
        named = {f"seed-{row['seed']}/{name}": value for name, value in numbers_of(row)}
        self._run.log({"update": row["update"], **named})

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def import_package(sink: str) -> Any:
    """The package that an optional sink needs.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(_PACKAGES[sink])
    except ImportError:
        raise InputError(f"sink {sink} needs {_PACKAGES[sink]}; install rpax[{sink}]") from None


def make_sinks(names: Iterable[str], path: pathlib.Path, config: Mapping[str, Any]) -> list[Sink]:
    """The optional sinks of a run in directory ``path``."""
    made: list[Sink] = []
    for name in names:
        made.append(
            TensorBoard(path / "tensorboard") if name == "tensorboard" else WeightsAndBiases(path, path.name, config)
        )
    return made


def read_rows(path: pathlib.Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics file; a last line that was cut off is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def numbers_of(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in nested mappings and lists, with names like ``returns/victim vs adversary/0``."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from numbers_of(value, f"{prefix}{name}/")
        elif isinstance(value, list):
            yield from numbers_of({str(i): entry for i, entry in enumerate(value)}, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name not in ("update", "seed"):
            yield f"{prefix}{name}", value
