"""JaxMARL, imported when a game of its is made: that takes seconds, starts JAX's backend and prints.

This module itself imports neither JAX nor JaxMARL, so names of layouts can be checked before either is there.
"""

import ast
import contextlib
import functools
import importlib
import importlib.util
import io
import pathlib
import re
import sys
from collections.abc import Iterator
from types import ModuleType

from rpax.errors import InputError

#: The first version whose states and shaped rewards are those described here.
_OLDEST = (0, 2)
_REMEDY = "pip install 'jaxmarl>=0.2,<0.3'"


def load(module: str, name: str) -> ModuleType:
    """``jaxmarl.environments.<module>``, imported silently and in 32 bit.

    Args:
        module: for example ``overcooked.layouts``.
        name: the environment that needs it, for the error message.

    Raises:
        InputError: JaxMARL is not installed, or too old.
    """
    import importlib.metadata

    try:
        version = importlib.metadata.version("jaxmarl")
    except importlib.metadata.PackageNotFoundError:
        raise InputError(f"environment '{name}' needs JaxMARL, which is not installed; {_REMEDY}") from None
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < _OLDEST:
        raise InputError(f"environment '{name}' needs JaxMARL 0.2, found {version}; {_REMEDY}")
    import jax

    # Its modules build constant arrays when they are imported, in whatever precision is on then.
    with jax.enable_x64(False), _quiet():
        return importlib.import_module(f"jaxmarl.environments.{module}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is printed, and both streams are what they were: JaxMARL sets them to Python's first ones."""
    kept = sys.stdout, sys.stderr, sys.__stdout__
    sys.stdout = sys.__stdout__ = io.StringIO()  # type: ignore[misc]
    try:
        yield
    finally:
        sys.stdout, sys.stderr, sys.__stdout__ = kept  # type: ignore[misc]


@functools.cache
def layout_names(game: str) -> tuple[str, ...]:
    """The names of the layouts that the installed JaxMARL has, read from its source; none where it is not installed.

    Args:
        game: ``overcooked`` or ``overcooked_v2``.
    """
    spec = importlib.util.find_spec("jaxmarl")
    if spec is None or not spec.submodule_search_locations:
        return ()
    path = pathlib.Path(spec.submodule_search_locations[0]) / "environments" / game / "layouts.py"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ()
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Dict):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Name) and target.id == f"{game}_layouts" for target in targets):
                keys = [key.value for key in statement.value.keys if isinstance(key, ast.Constant)]
                return tuple(key for key in keys if isinstance(key, str))
    return ()
