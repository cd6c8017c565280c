"""Reading files that anybody may have written: bounded before they are read, parsed strictly, inside their folder.

Every failure is one :class:`~rpax.errors.InputError` that names the file and the cause; nothing in a file is ever run.
Imports neither JAX nor NumPy.

========================================  =====================
What                                      At most
========================================  =====================
configuration, objective (YAML)           10 MB, 500,000 values, 64 levels
payoffs (JSON, NPY, CSV)                  10 MB, 64 levels
Overcooked layout                         100 kB
policy (safetensors)                      2 GB
checkpoint: manifest, arrays              16 MB, 64 GB
header of a safetensors file              16 MB
JSON documents of a run or a cross-play   100 MB, 64 levels
========================================  =====================
"""

import importlib.machinery
import importlib.util
import json
import math
import os
import pathlib
import stat
from collections.abc import Iterable, Mapping
from typing import Any

from rpax.errors import InputError, shown

MOST_YAML, MOST_PAYOFFS, MOST_LAYOUT = 10**7, 10**7, 10**5
MOST_POLICY, MOST_MANIFEST, MOST_ARRAYS, MOST_HEADER = 2 * 10**9, 16 * 10**6, 64 * 10**9, 16 * 10**6
MOST_DOCUMENT = 10**8
#: Lists and mappings inside each other.
MOST_LEVELS = 64
#: Bytes that are read at once of a file that grows meanwhile.
_GROWTH = 1 << 20
#: Bytes that file systems allow in the name of a file.
_MOST_PART = 255


def read_bounded(path: pathlib.Path, most: int, where: str, remedy: str = "check the path") -> bytes:
    """The content of a file of at most ``most`` bytes; of a larger one no more is read.

    Args:
        path: the file.
        most: bytes.
        where: how messages call it.
        remedy: what helps where it cannot be read.

    Raises:
        InputError: it cannot be read, is larger, or no regular file (a device, a pipe).
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            # Room is made for what is there, not for what may be there at most.
            content = file.read(_size_of_regular(file.fileno(), most, where) + 1)
            while len(content) <= most and (more := file.read(_GROWTH)):
                content += more
    except (OSError, ValueError) as error:  # ValueError for a path that no file can have
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{where}: cannot be read ({reason}); {remedy}") from None
    if len(content) > most:
        raise _too_large(most, where)
    return content


def _open_at_once(path: str, flags: int) -> int:
    """Without waiting for somebody to write into a named pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _size_of_regular(descriptor: int, most: int, where: str) -> int:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{where}: is no regular file; copy what it gives into one")
    if found.st_size > most:
        raise _too_large(most, where)
    return found.st_size


def _too_large(most: int, where: str) -> InputError:
    return InputError(f"{where}: larger than {most} bytes; is it the right file?")


def read_text(path: pathlib.Path, most: int, where: str, remedy: str = "check the path") -> str:
    """The text of a file of at most ``most`` bytes, in UTF-8, with a mark of its byte order or without.

    Raises:
        InputError: it cannot be read, is larger, or no such text.
    """
    try:
        text = read_bounded(path, most, where, remedy).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{where}: not UTF-8 text; save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


class NotStrictJSON(ValueError):
    """What the text breaks; JSON's own mistakes among it."""


def parse_json(text: str | bytes, *, finite: bool = True) -> Any:
    """The value that JSON text stands for, unless it has a key twice, is nested deeply, or holds NaN or infinity.

    Args:
        text: the text; bytes are UTF-8.
        finite: ``False`` takes NaN and infinity, as Python writes and reads them.

    Raises:
        NotStrictJSON: it is no such text.
    """
    options: dict[str, Any] = {"parse_constant": _refuse_constant, "parse_float": _finite} if finite else {}
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_without_duplicates, **options)
    except NotStrictJSON:
        raise
    except RecursionError:
        raise NotStrictJSON(f"is nested more than {MOST_LEVELS} levels deep") from None
    except ValueError:  # also for bytes that are no text and integers of thousands of digits
        raise NotStrictJSON("is no JSON") from None
    if levels(value) > MOST_LEVELS:
        raise NotStrictJSON(f"is nested more than {MOST_LEVELS} levels deep")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise NotStrictJSON(f"has the key {shown(name)} twice")
        found[name] = value
    return found


def _refuse_constant(name: str) -> float:
    raise NotStrictJSON(f"holds {name}")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotStrictJSON(f"holds {shown(text)}, which is beyond all numbers")
    return value


def levels(value: object) -> int:
    """How deep lists and mappings lie in each other: 0 for a number, 1 for a list of numbers."""
    deep, layer = 0, [value]
    while layer := [part for part in layer if isinstance(part, list | dict)]:
        deep += 1
        layer = [entry for part in layer for entry in (part.values() if isinstance(part, dict) else part)]
    return deep


def read_json(path: pathlib.Path, remedy: str, most: int = MOST_DOCUMENT) -> Any:
    """A JSON document that rpax wrote, in which numbers may be NaN.

    Raises:
        InputError: it is damaged, or cannot be read.
    """
    content = read_bounded(path, most, str(path), remedy)
    try:
        return parse_json(content, finite=False)
    except NotStrictJSON as error:
        raise InputError(f"{path} is damaged, it {error}; {remedy}") from None


def inside(folder: pathlib.Path, name: str, where: str) -> pathlib.Path:
    """The path that ``name``, which stands in a file, means in ``folder``.

    Raises:
        InputError: it leads out of the folder: absolute, with ``..``, or by a link; or no file can be called so.
    """
    relative = pathlib.PurePosixPath(name)
    windows = pathlib.PureWindowsPath(name)
    unsafe = relative.is_absolute() or windows.drive or windows.root or ".." in (*relative.parts, *windows.parts)
    if unsafe or not name.isprintable() or any(len(part.encode()) > _MOST_PART for part in relative.parts):
        raise InputError(f"{where}: path {shown(name)} leads out of {folder}, or nowhere; use one inside it")
    path = folder / name
    try:
        resolved, root = path.resolve(), folder.resolve()
    except (OSError, RuntimeError):  # links that lead in a circle
        raise InputError(
            f"{where}: path {shown(name)} leads nowhere; only paths inside {folder} are followed"
        ) from None
    if resolved != root and root not in resolved.parents:
        raise InputError(f"{where}: path {shown(name)} leads out of {folder} by a link; copy here what it links to")
    return path


def refuse_links_out_of(folder: pathlib.Path) -> None:
    """Refuse a folder to which something is about to be written that has links out of it, at any depth.

    Raises:
        InputError: names the link.
    """
    root = folder.resolve()
    for place, folders, files in os.walk(root):
        for path in (pathlib.Path(place, name) for name in (*folders, *files)):
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise InputError(
                    f"{folder / path.relative_to(root)} is a link that leads out of {folder}, through which nothing is "
                    "written; put here what it links to"
                )


def refuse_code_inside(folder: pathlib.Path, text: str, where: str) -> None:
    """Refuse ``FILE.py:NAME`` and ``MODULE:NAME`` that lie in ``folder``: what somebody sends is data, never run.

    Raises:
        InputError: it lies there.
    """
    root, source = folder.resolve(), text.rpartition(":")[0]
    for place in _places_of_code(source) if source else ():
        if root in (place, *place.parents):
            raise InputError(
                f"{where}: {shown(text)} is code in the folder itself, which is never run; move it elsewhere if it is "
                "yours"
            )


def _places_of_code(source: str) -> list[pathlib.Path]:
    """Where a file, or a module and the packages around it, would be run from; nothing is imported to find out."""
    # Agents are named with space around them or without.
    files = [pathlib.Path(name) for name in (source, source.strip())]
    if any(file.suffix == ".py" for file in files):
        return [file.resolve() for file in files]
    places: list[pathlib.Path] = []
    top, *parts = source.split(".")
    try:
        spec = importlib.util.find_spec(top)
        for part in (*parts, None):
            if spec is None:
                break
            within = [*(spec.submodule_search_locations or ())]
            places += [pathlib.Path(place).resolve() for place in (*within, spec.origin) if place]
            # Unlike importlib.util.find_spec, which imports the packages around a module.
            spec = importlib.machinery.PathFinder.find_spec(part, within) if part is not None else None
    except (ImportError, ValueError):  # no name of a module
        pass
    return places


def check_keys(
    found: object, kinds: Mapping[str, type | tuple[type, ...]], optional: Iterable[str] = ()
) -> dict[str, Any]:
    """``found``, if it is a mapping with exactly these keys, whose values have these types (``bool`` is no ``int``).

    Raises:
        NotStrictJSON: says what is wrong.
    """
    if not isinstance(found, dict):
        raise NotStrictJSON(f"has {shown(found)} for a mapping")
    optional = tuple(optional)
    for name in found:
        if name not in kinds:
            raise NotStrictJSON(f"has the unknown key {shown(name)}")
    for name, kind in kinds.items():
        if name not in found:
            if name in optional:
                continue
            raise NotStrictJSON(f"lacks '{name}'")
        value = found[name]
        allowed = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            raise NotStrictJSON(f"has {shown(value)} for '{name}'")
    return found
