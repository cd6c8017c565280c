"""What a file or module of the user's holds, named together with it: an environment it registers, or a function in it.

``my_game.py:mine/meeting``, ``my_policies.py:heuristic``.
"""

import contextlib
import importlib
import importlib.util
import pathlib
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from rpax.errors import InputError, shown, suggestion

#: What separates the file or module from the environment's name.
SEPARATOR = ":"
Registered = TypeVar("Registered")


class Imported(NamedTuple):
    """A file or module of the user's, once it is imported.

    Attributes:
        module: what it holds.
        registered: what it registered meanwhile, by name.
    """

    module: ModuleType
    registered: dict[str, Any]


_imported: dict[str, Imported] = {}


def imported(source: str, table: Mapping[str, Any]) -> Imported:
    """The file ``folder/my_game.py``, or the module ``my_package.my_game``; it is imported once.

    Like a script, a file can import its neighbours.

    Args:
        source: the file or module.
        table: where registering an environment puts it.

    Raises:
        InputError: there is no such file or module, or importing it fails.
    """
    path = pathlib.Path(source)
    key = str(path.resolve()) if path.suffix == ".py" else source
    if key not in _imported:
        before = set(table)
        try:
            module = _import_file(path) if path.suffix == ".py" else importlib.import_module(source)
        except (Exception, SystemExit) as error:
            # The user's own code can raise anything.
            reason = str(error) if isinstance(error, ImportError | OSError) else f"{type(error).__name__}: {error}"
            raise InputError(f"{_called(source)} cannot be imported: {reason}") from error
        _imported[key] = Imported(module, {name: entry for name, entry in table.items() if name not in before})
    return _imported[key]


def registered_by(source: str, member: str, table: Mapping[str, Registered]) -> Registered:
    """What the file or module ``source`` registers as ``member`` in ``table``.

    Raises:
        InputError: it cannot be imported, or registers nothing by that name.
    """
    found = imported(source, table).registered
    if member not in found:
        hint = suggestion(member, list(found)) if found else "call rpax.register where it is imported, not under main"
        raise InputError(f"{_called(source)} registers no environment {shown(member)}; {hint}")
    return found[member]


def member_of(source: str, member: str, table: Mapping[str, Any]) -> Any:
    """What the file or module ``source`` calls ``member``; ``table`` as in :func:`imported`.

    Raises:
        InputError: it cannot be imported, or has nothing of that name.
    """
    names = vars(imported(source, table).module)
    if member not in names:
        public = [name for name, value in names.items() if callable(value) and not name.startswith("_")]
        raise InputError(f"{_called(source)} has no {shown(member)}; {suggestion(member, public)}")
    return names[member]


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


def _import_file(path: pathlib.Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{path}'")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None, "a .py file always has one"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
