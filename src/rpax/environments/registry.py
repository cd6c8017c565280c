"""Environments by name: the table behind ``rpax.make`` and ``rpax list``. Factories are imported when first used."""

import dataclasses
import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from rpax.errors import InputError, shown, suggestion

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered environment: a line about it, its factory (or ``module:function``), and the options it takes.

    ``options`` is ``None`` for a factory that takes any.
    """

    summary: str
    factory: "str | Callable[..., Environment]"
    options: tuple[str, ...] | None = ()
    tabular: bool = False


_MATRIX, _CUSTOM = "rpax.environments.matrix:make_matrix_game", "rpax.environments.matrix:make_custom_game"
_EXTENSIVE = "rpax.environments.extensive:make_"
ENVIRONMENTS: dict[str, Entry] = {
    "matrix/figure-2": Entry("2×3 common payoff; action E of seat 1 sabotages", _MATRIX, tabular=True),
    "matrix/figure-13": Entry("2×3 common payoff; two conventions and one sabotaging action D", _MATRIX, tabular=True),
    "matrix/figure-14": Entry("2×3 general-sum; two equilibria and one sabotaging action E", _MATRIX, tabular=True),
    "matrix/figure-17": Entry("rock-paper-scissors", _MATRIX, tabular=True),
    "matrix/custom": Entry("your payoffs: one matrix, or one a seat", _CUSTOM, options=("payoffs",), tabular=True),
    "extensive/g1": Entry("five joint actions to agree on, one after the other", f"{_EXTENSIVE}g1", tabular=True),
    "extensive/g2": Entry("equal first actions win", f"{_EXTENSIVE}g2", tabular=True),
    "extensive/g3": Entry("equal first actions, then different ones, win", f"{_EXTENSIVE}g3", tabular=True),
}


def check_environment_name(name: str) -> Entry:
    """The registered entry of ``name``.

    Raises:
        InputError: nothing is registered under that name.
    """
    entry = ENVIRONMENTS.get(name) if isinstance(name, str) else None
    if entry is None:
        hint = f"{suggestion(str(name), ENVIRONMENTS)}; rpax.register makes your own known"
        raise InputError(f"environment {shown(name)} is unknown; {hint}")
    return entry


def make(name: str, **options: object) -> "Environment":
    """The environment registered under ``name``.

    Args:
        name: see ``rpax list``, for example ``matrix/figure-2``.
        **options: what the environment takes, for example ``payoffs`` for ``matrix/custom``.

    Raises:
        InputError: an unknown name or option, or a value the environment refuses.
    """
    entry = check_environment_name(name)
    for option in options:
        if entry.options is not None and option not in entry.options:
            takes = f"it takes {', '.join(entry.options)}" if entry.options else "it takes none"
            raise InputError(f"environment '{name}' has no option '{option}'; {takes}")
    factory = entry.factory
    if isinstance(factory, str):
        module, _, function = factory.partition(":")
        factory = getattr(importlib.import_module(module), function)
    environment = factory(name, **options)
    # So that a run directory can say how its environment was made.
    environment.made_with = dict(options)
    return environment


def register(name: str, factory: "Callable[..., Environment]", summary: str = "", *, tabular: bool = False) -> None:
    """Make an environment of your own available as ``rpax.make(name, **options)``.

    Args:
        name: a new name, like ``mine/pushing``.
        factory: called as ``factory(name, **options)``; returns an :class:`rpax.Environment`.
        summary: one line for ``rpax list``.
        tabular: whether it makes a :class:`~rpax.environments.tabular_game.TabularGame`, which exact mode and tabular
            policies need; roles then have fixed seats by default and presets are those of the matrix games.

    Raises:
        InputError: the name is taken.
    """
    if name in ENVIRONMENTS:
        raise InputError(f"environment '{name}' is already registered; choose another name")
    taken = list(inspect.signature(factory).parameters.values())[1:]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken)
    ENVIRONMENTS[name] = Entry(
        summary, factory, None if takes_any else tuple(parameter.name for parameter in taken), tabular
    )
