"""Cross-play as the user calls it: ``rpax.cross_play``."""

import hashlib
import inspect
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rpax.environments.protocol import Environment
from rpax.environments.registry import make
from rpax.errors import InputError, shown
from rpax.evaluation.cross_play import Cell, cells_of, play_cells
from rpax.evaluation.cross_play_result import CrossPlay
from rpax.runs.cell_store import CellStore
from rpax.runs.compilation_cache import use_compilation_cache
from rpax.runs.roster import entrants_of, labelled, run_behind, shared_environment
from rpax.runs.run import Run

#: Called after each cell with how many are done and how many there are.
Progress = Callable[[int, int], None]


def cross_play(
    runs: Run | str | pathlib.Path | Sequence[Any] | Mapping[str, Any],
    *,
    episodes: int = 1000,
    seed: int = 0,
    greedy: bool = False,
    manipulators: bool = False,
    environment: str | Environment | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress = lambda done, total: None,
) -> CrossPlay:
    """Play every agent with every one, in both orders, and with itself.

    Args:
        runs: runs or their directories (all base agents of all seeds take part), agents, policy files, callables, or
            text that names one of them, like ``scripted:onion-carrier``; ``"LABEL=RUN"`` or a mapping from labels
            puts agents into a group of that name. Without a label agents are grouped by their algorithm.
        episodes: of each cell, at least 2.
        seed: of all chance.
        greedy: agents take their most likely action instead of drawing one.
        manipulators: manipulators take part too.
        environment: where they play; by default where the runs were trained.
        out: a folder that keeps finished cells, so that a second call plays only what is missing.
        progress: called after each cell.

    Raises:
        InputError: an agent is missing or does not fit, runs were trained in different environments, or the folder
            holds something else.

    >>> run = rpax.train("sp", "matrix/figure-13", exact=True, updates=5)
    >>> rpax.cross_play([run], episodes=10).names
    ('memory:0:base_0',)
    """
    _check_number("episodes", episodes, 2)
    _check_number("seed", seed, 0)
    use_compilation_cache()
    sources = labelled(runs)
    if environment is None:
        game = shared_environment([run for _, source in sources if (run := run_behind(source)) is not None])
    else:
        game = make(environment) if isinstance(environment, str) else environment
    entrants = entrants_of(sources, game, manipulators=manipulators)
    store = None if out is None else CellStore(out)
    played: dict[tuple[int, int], Cell] = {}
    if store is not None:
        store.open(cell_settings(game, episodes, seed, greedy))
        played = store.read(entrants)
    all_cells = cells_of(entrants)
    if not all_cells:
        raise InputError("no agent can play seat 0 with another in seat 1; give agents for both seats")
    missing = [cell for cell in all_cells if cell not in played]
    for pair, cell in play_cells(game, entrants, missing, episodes=episodes, seed=seed, greedy=greedy):
        played[pair] = cell
        if store is not None:
            store.add(entrants[pair[0]], entrants[pair[1]], cell)
        progress(len(played), len(all_cells))
    return CrossPlay.of(game, entrants, played, episodes=episodes, seed=seed, greedy=greedy)


def cell_settings(game: Environment, episodes: int, seed: int, greedy: bool) -> dict[str, Any]:
    """What all cells of a folder have in common, see :class:`~rpax.runs.cell_store.CellStore`."""
    # Shaped rewards are never part of a return.
    options = {name: value for name, value in game.made_with.items() if name != "shaping"}
    about = {"environment": game.name, "environment_options": options, "environment_file": _file_of(game)}
    return {**about, "episodes": episodes, "seed": seed, "greedy": greedy}


def _file_of(game: Environment) -> str | None:
    """What identifies the rules of a game of the user's own: its file's content; ``None`` for the package's own."""
    kind = type(game)
    if kind.__module__.startswith("rpax."):
        return None
    try:
        return hashlib.sha256(pathlib.Path(inspect.getfile(kind)).read_bytes()).hexdigest()
    except (OSError, TypeError):
        return None


def _check_number(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
        raise InputError(f"{name} {shown(value)} is not allowed; give a whole number from {least} to 2³¹−1")
