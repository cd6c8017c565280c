"""Environments that a file or module of the user's registers, named together with it: ``my_game.py:mine/meeting``."""

import contextlib
import importlib
import importlib.util
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from rpax.errors import InputError, shown, suggestion

#: What separates the file or module from the environment's name.
SEPARATOR = ":"
Registered = TypeVar("Registered")
_registered_by: dict[str, dict[str, Any]] = {}


def registered_by(source: str, member: str, table: Mapping[str, Registered]) -> Registered:
    """What ``source`` registers as ``member``; it is imported once.

    Args:
        source: ``folder/my_game.py``, or ``my_package.my_game``. Like a script, a file can import its neighbours.
        member: the name it registers.
        table: where registering puts it.

    Raises:
        InputError: there is no such file or module, importing it fails, or it registers nothing by that name.
    """
    path = pathlib.Path(source)
    key = str(path.resolve()) if path.suffix == ".py" else source
    if key not in _registered_by:
        before = set(table)
        try:
            _import_file(path) if path.suffix == ".py" else importlib.import_module(source)
        except (Exception, SystemExit) as error:
            # The user's own code can raise anything.
            reason = str(error) if isinstance(error, ImportError | OSError) else f"{type(error).__name__}: {error}"
            raise InputError(f"{_called(source)} cannot be imported: {reason}") from error
        _registered_by[key] = {name: entry for name, entry in table.items() if name not in before}
    found = _registered_by[key]
    if member not in found:
        hint = suggestion(member, list(found)) if found else "call rpax.register where it is imported, not under main"
        raise InputError(f"{_called(source)} registers no environment {shown(member)}; {hint}")
    return found[member]


@contextlib.contextmanager
def running(what: str) -> Iterator[None]:
    """The user's own code, of which ``what`` says where it is, runs in the block; it can raise anything.

    Raises:
        InputError: it does: names what it raised, in one line.
    """
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        kind, reason = type(error).__name__, str(error).strip().partition("\n")[0].rstrip(".")
        # JAX's name for a Python `if` on what is known only when the program runs.
        remedy = "; choose with jnp.where or jax.lax.cond instead of if" if kind == "TracerBoolConversionError" else ""
        raise InputError(f"{what} raised {kind}{f': {reason}' if reason else ''}{remedy}") from error


def _called(source: str) -> str:
    return f"file {shown(source)}" if source.endswith(".py") else f"module {shown(source)}"


def _import_file(path: pathlib.Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{path}'")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None, "a .py file always has one"
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
