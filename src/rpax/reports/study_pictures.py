"""Pictures of a reproduced study, from its cells: learning curves of every population, and the heatmap."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rpax.reports.case_panels import Panel, draw_panels
from rpax.reports.cross_play_report import short_names
from rpax.reports.heatmap import Heatmap, draw_heatmap
from rpax.untrusted import read_json

if TYPE_CHECKING:
    from rpax.reproduce.deep_runner import StudyResult

_MOST_COLUMNS = 4
_ANEW = "remove it, and it will be made again"


def draw_study(result: "StudyResult", folder: pathlib.Path) -> list[pathlib.Path]:
    """Write ``learning-curves.png`` and, where there is a cross-play, ``heatmap.png`` into ``folder``.

    Raises:
        InputError: they cannot be written.
    """
    written = []
    panels = [panel for population in result.study.populations if (panel := _panel(population, folder)) is not None]
    if panels:
        written.append(folder / "learning-curves.png")
        title = f"{result.study.case}: returns of training episodes, mean over seeds and range"
        draw_panels(written[-1], panels, title=title, y_label="return", columns=min(_MOST_COLUMNS, len(panels)))
    document = folder / "cross-play.json"
    if document.is_file():
        written.append(folder / "heatmap.png")
        draw_heatmap(_heatmap(read_json(document, _ANEW)), written[-1])
    return written


def _panel(population: Any, folder: pathlib.Path) -> Panel | None:
    """One population's curves over updates, a band over its seeds."""
    files = sorted(folder.glob(f"train-{population.slug}-seed-*.json"))
    curves = [read_json(path, _ANEW)["curve"] for path in files]
    curves = [curve for curve in curves if len(curve) > 1]
    if not curves:
        return None
    updates = curves[0]["update"]
    kinds = [kind for kind in curves[0] if kind != "update"]
    return Panel(population.label, np.array(updates), {kind: _of_seeds(curves, kind, len(updates)) for kind in kinds})


def _of_seeds(curves: Sequence[Mapping[str, Sequence[float | None]]], kind: str, points: int) -> np.ndarray:
    rows = [curve[kind] for curve in curves if len(curve.get(kind, ())) == points]
    return np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=float)


def _heatmap(document: Mapping[str, Any]) -> Heatmap:
    groups = document["groups"]
    values = np.array([[np.nan if value is None else value for value in row] for row in document["mean"]], dtype=float)
    episodes, actions = document["episodes"], "most likely" if document["greedy"] else "sampled"
    title = f"{document['environment']}: {len(groups)} agents, {episodes} episodes a cell, {actions} actions"
    return Heatmap(values, short_names(document["agents"], groups), groups, title)
