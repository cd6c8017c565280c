"""Environments by name: the table behind ``rpax.make`` and ``rpax list``. Factories are imported when first used."""

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rpax.environments.jaxmarl.layouts import CLASSIC
from rpax.environments.jaxmarl.load import layout_names
from rpax.environments.own_files import SEPARATOR, registered_by, running
from rpax.errors import InputError, shown, suggestion

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered environment: a line about it, its factory (or ``module:function``), and the options it takes.

    ``options`` is ``None`` for a factory that takes any; those in ``needs`` must be given.
    """

    summary: str
    factory: "str | Callable[..., Any]"
    options: tuple[str, ...] | None = ()
    tabular: bool = False
    needs: tuple[str, ...] = ()


_MATRIX, _CUSTOM = "rpax.environments.matrix:make_matrix_game", "rpax.environments.matrix:make_custom_game"
_EXTENSIVE = "rpax.environments.extensive:make_"
_COOKING, _DRAWN, _COOKING_V2 = (
    f"rpax.environments.jaxmarl.overcooked:{function}"
    for function in ("make_overcooked", "make_custom_overcooked", "make_overcooked_v2")
)
_COOKING_OPTIONS = ("shaping", "horizon")
_COOKING_V2_OPTIONS = (
    "horizon",
    "agent_view_size",
    "random_agent_positions",
    "negative_rewards",
    "sample_recipe_on_delivery",
    "start_cooking_interaction",
    "indicate_successful_delivery",
)
_HANABI = "rpax.environments.jaxmarl.hanabi:make_hanabi"
_STORM = "rpax.environments.storm.game:make_storm"
_STORM_OPTIONS = ("horizon", "payoffs", "coins", "freeze", "spawn_facings")
#: The layouts that the OvercookedV2 paper introduces or keeps; JaxMARL has more.
_LAYOUTS_V2 = (
    *CLASSIC,
    "grounded_coord_simple",
    "grounded_coord_ring",
    "test_time_simple",
    "test_time_wide",
    "demo_cook_simple",
    "demo_cook_wide",
)
ENVIRONMENTS: dict[str, Entry] = {
    "matrix/figure-2": Entry("2×3 common payoff; action E of seat 1 sabotages", _MATRIX, tabular=True),
    "matrix/figure-13": Entry("2×3 common payoff; two conventions and one sabotaging action D", _MATRIX, tabular=True),
    "matrix/figure-14": Entry("2×3 general-sum; two equilibria and one sabotaging action E", _MATRIX, tabular=True),
    "matrix/figure-17": Entry("rock-paper-scissors", _MATRIX, tabular=True),
    "matrix/custom": Entry(
        "your payoffs: one matrix, or one a seat", _CUSTOM, options=("payoffs",), tabular=True, needs=("payoffs",)
    ),
    "extensive/g1": Entry("five joint actions to agree on, one after the other", f"{_EXTENSIVE}g1", tabular=True),
    "extensive/g2": Entry("equal first actions win", f"{_EXTENSIVE}g2", tabular=True),
    "extensive/g3": Entry("equal first actions, then different ones, win", f"{_EXTENSIVE}g3", tabular=True),
    "overcooked/cramped_room": Entry("two cooks in one small room", _COOKING, _COOKING_OPTIONS),
    "overcooked/coord_ring": Entry(
        "two cooks in a ring, where they get in each other's way", _COOKING, _COOKING_OPTIONS
    ),
    "overcooked/counter_circuit": Entry("two cooks around a long counter", _COOKING, _COOKING_OPTIONS),
    "overcooked/forced_coord": Entry(
        "onions and plates in one room, pots and delivery in the other", _COOKING, _COOKING_OPTIONS
    ),
    "overcooked/asymm_advantages": Entry(
        "two rooms with everything, at different distances", _COOKING, _COOKING_OPTIONS
    ),
    "overcooked/forced_two_exchange": Entry(
        "two rooms, two counters to pass over, one way", _COOKING, _COOKING_OPTIONS
    ),
    "overcooked/forced_three_exchange": Entry(
        "two rooms, three counters to pass over, and soups come back", _COOKING, _COOKING_OPTIONS
    ),
    "overcooked/forced_split_pot": Entry(
        "two rooms with a pot each: two ways to divide the work", _COOKING, _COOKING_OPTIONS
    ),
    "overcooked/custom": Entry("your layout, drawn as text", _DRAWN, ("layout", *_COOKING_OPTIONS), needs=("layout",)),
    **{
        f"overcooked_v2/{layout}": Entry(f"OvercookedV2 on {layout}", _COOKING_V2, _COOKING_V2_OPTIONS)
        for layout in _LAYOUTS_V2
    },
    "storm": Entry("collect coins, then interact: a matrix game on a grid", _STORM, _STORM_OPTIONS),
    "storm/sabotage": Entry("STORM with a cell in which either agent hurts both", _STORM, _STORM_OPTIONS),
    "storm/independent": Entry(
        "STORM without collisions, coins without limit, one payoff at the end", _STORM, _STORM_OPTIONS
    ),
    "storm/unobserved": Entry("storm/independent where agents do not see each other", _STORM, _STORM_OPTIONS),
    "hanabi/3x3": Entry("Hanabi with 3 colours and 3 ranks, at most 9 points", _HANABI),
    "hanabi/4x4": Entry("Hanabi with 4 colours and 4 ranks, at most 16 points", _HANABI),
    "hanabi/5x5": Entry("Hanabi, the full game, at most 25 points", _HANABI),
}

#: Environments beyond those listed, by what comes before the slash: their entry, and the names that are known.
FAMILIES: dict[str, tuple[Entry, Callable[[], Iterable[str]]]] = {
    "overcooked": (
        Entry("a layout of JaxMARL's", _COOKING, _COOKING_OPTIONS),
        lambda: layout_names("overcooked"),
    ),
    "overcooked_v2": (
        Entry("a layout of JaxMARL's", _COOKING_V2, _COOKING_V2_OPTIONS),
        lambda: layout_names("overcooked_v2"),
    ),
}


def check_environment_name(name: str) -> Entry:
    """The registered entry of ``name``, once the file or module before its colon, if any, is imported.

    Raises:
        InputError: nothing is registered under that name, or the file or module cannot be imported.
    """
    source, colon, member = str(name).rpartition(SEPARATOR)
    if colon:
        return registered_by(source, member, ENVIRONMENTS)
    entry = _find(name) if isinstance(name, str) else None
    if entry is None:
        raise InputError(f"environment {shown(name)} is unknown; {_remedy(str(name))}")
    return entry


def _remedy(name: str) -> str:
    """What to write instead of an unknown ``name``: what was probably meant, or all that is known."""
    if name.endswith(".py"):
        return f"to name what a file registers, write {name}{SEPARATOR}NAME"
    known = _names_like(name)
    is_family = name.rstrip("/") in {other.partition("/")[0] for other in known}
    hint = f"known: {', '.join(known)}" if is_family else suggestion(name, known)
    return hint if hint.endswith("?") else f"{hint}; rpax.register makes your own known, as my_game.py{SEPARATOR}NAME"


def _find(name: str) -> Entry | None:
    if name in ENVIRONMENTS:
        return ENVIRONMENTS[name]
    family, _, member = name.partition("/")
    if family in FAMILIES and member in FAMILIES[family][1]():
        return FAMILIES[family][0]
    return None


def _names_like(name: str) -> list[str]:
    """What could have been meant: the members of the family that ``name`` belongs to, or every registered name."""
    family = name.partition("/")[0]
    listed = [known for known in ENVIRONMENTS if known.partition("/")[0] == family]
    more = FAMILIES[family][1]() if family in FAMILIES else ()
    return list(dict.fromkeys([*listed, *(f"{family}/{member}" for member in more)])) or list(ENVIRONMENTS)


def make(name: str, **options: object) -> "Environment":
    """The environment registered under ``name``.

    Args:
        name: see ``rpax list``, for example ``matrix/figure-2``; every layout of JaxMARL's is there as
            ``overcooked/<layout>`` and ``overcooked_v2/<layout>``. What a file or module of yours registers is there as
            ``my_game.py:mine/meeting`` or ``my_package.my_game:mine/meeting``, here and on the command line.
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
        environment: Environment = getattr(importlib.import_module(module), function)(name, **options)
    else:
        for option in entry.needs:
            if option not in options:
                raise InputError(f"environment '{name}' needs the option '{option}'; give {option}=…")
        with running(f"environment '{name}': its factory"):
            made = factory(name, **options)
        environment = _as_environment(made, name)
    # So that a run directory can say how its environment was made; the factory may have read files.
    environment.made_with = {**options, **environment.made_with}
    return environment


def _as_environment(made: Any, name: str) -> "Environment":
    """What a user's factory returned, adapted if it is a JaxMARL-style object."""
    from rpax.environments.jaxmarl.adapter import as_environment

    return as_environment(made, name)


def register(name: str, factory: Callable[..., Any], summary: str = "", *, tabular: bool = False) -> None:
    """Make an environment of your own available as ``rpax.make(name, **options)``.

    Args:
        name: a new name without a colon, like ``mine/pushing``.
        factory: called as ``factory(name, **options)``; returns an :class:`rpax.Environment`, or a JaxMARL-style object
            of two agents with equal spaces (see :mod:`rpax.environments.jaxmarl.adapter`), which is adapted.
        summary: one line for ``rpax list``.
        tabular: whether it makes a :class:`~rpax.environments.tabular_game.TabularGame`, which exact mode and tabular
            policies need; roles then have fixed seats by default and presets are those of the matrix games.

    Raises:
        InputError: the name is no text, has a colon or is taken, or the factory cannot be called.
    """
    if not isinstance(name, str) or not name:
        raise InputError(f"environment name {shown(name)} is no text; give a name like 'mine/game'")
    if SEPARATOR in name:
        raise InputError(f"environment name {shown(name)} has a colon, which follows a file; give one like 'mine/game'")
    if not callable(factory):
        raise InputError(
            f"environment '{name}': factory {shown(factory)} cannot be called; give a class or function that makes the "
            "environment, like lambda name: game"
        )
    if _find(name) is not None:
        raise InputError(f"environment '{name}' is already registered; choose another name")
    taken = list(inspect.signature(factory).parameters.values())[1:]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken)
    named = [
        parameter for parameter in taken if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    needs = tuple(parameter.name for parameter in named if parameter.default is parameter.empty)
    options = None if takes_any else tuple(parameter.name for parameter in taken)
    ENVIRONMENTS[name] = Entry(summary, factory, options, tabular, needs)
