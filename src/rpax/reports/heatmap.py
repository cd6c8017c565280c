"""The heatmap of a cross-play: rows are seat 0, columns seat 1, agents of a group side by side, as in the paper."""

import dataclasses
import itertools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from rpax.reports.figure_style import INK, MUTED, figure_style, new_figure, picture_path, plain, save_figure, text_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Lengths in inches, font sizes in points.
_CELL, _MARGIN, _BAR, _TITLE = 0.46, 0.25, 0.75, 0.45
_LEAST_CELL, _MOST_SIDE = 0.16, 14.0
_NAME_SIZE, _GROUP_SIZE, _NUMBER_SIZE, _TITLE_SIZE = 8.0, 10.0, 8.0, 11.0
_LEAST_CELL_WITH_NUMBER = 0.4


@dataclasses.dataclass(frozen=True)
class Heatmap:
    """What is drawn.

    Attributes:
        values: returns, NaN where a pair cannot play.
        names: of the agents, short enough to stand beside a row.
        groups: of each agent; those of one stand side by side.
        title: one line.
        label: what the values are.
    """

    values: Float[np.ndarray, "agents agents"]
    names: Sequence[str]
    groups: Sequence[str]
    title: str
    label: str = "return of seat 0"


def draw_heatmap(heatmap: Heatmap, path: str | os.PathLike[str]) -> None:
    """Write a heatmap as PNG or SVG.

    Raises:
        InputError: the path names no picture, or cannot be written.
    """
    path = picture_path(str(path))
    count = len(heatmap.names)
    cell = max(_LEAST_CELL, min(_CELL, _MOST_SIDE / count))
    with figure_style():
        name_width = max(text_size(name, _NAME_SIZE)[0] for name in heatmap.names) + 0.12
        blocks = _blocks(heatmap.groups)
        widths = [text_size(block.group, _GROUP_SIZE, "bold")[0] + 0.1 for block in blocks]
        upright = any(width > cell * block.size for width, block in zip(widths, blocks, strict=True))
        group_height = max(widths) if upright else text_size("X", _GROUP_SIZE)[1] + 0.14
        left, bottom = _MARGIN + max(widths) + name_width, _MARGIN + name_width
        side = cell * count
        width, height = left + side + _BAR + _MARGIN, bottom + side + group_height + _TITLE + _MARGIN
        width = max(width, text_size(heatmap.title, _TITLE_SIZE)[0] + 2 * _MARGIN)
        figure = new_figure(width, height)
        axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
        shown = _draw_cells(axes, heatmap, cell)
        bar = figure.add_axes(((left + side + 0.15) / width, bottom / height, 0.16 / width, side / height))
        figure.colorbar(shown, cax=bar).set_label(plain(heatmap.label), size=9)
        bar.tick_params(labelsize=8, length=2)
        _mark_groups(axes, blocks, offset=(name_width + 0.04) / cell, upright=upright)
        figure.text(_MARGIN / width, 1 - _MARGIN / height, plain(heatmap.title), size=_TITLE_SIZE, va="top", color=INK)
        save_figure(figure, path)


def _draw_cells(axes: "Axes", heatmap: Heatmap, cell: float) -> Any:
    import matplotlib

    count, values = len(heatmap.names), np.ma.masked_invalid(heatmap.values)
    colours = matplotlib.colormaps["viridis"].with_extremes(bad="#ECEEF1")
    shown = axes.imshow(values, cmap=colours, aspect="equal", interpolation="nearest")
    axes.set_xticks(range(count), [plain(name) for name in heatmap.names], rotation=90, size=_NAME_SIZE)
    axes.set_yticks(range(count), [plain(name) for name in heatmap.names], size=_NAME_SIZE)
    axes.tick_params(length=0, labelcolor=MUTED)
    axes.spines[:].set_visible(False)
    if cell >= _LEAST_CELL_WITH_NUMBER:
        dark = values < (values.min() + values.max()) / 2
        for row, column in np.ndindex(count, count):
            if np.isfinite(heatmap.values[row, column]):
                colour = "white" if dark[row, column] else INK
                text = short_number(float(heatmap.values[row, column]))
                axes.text(column, row, text, ha="center", va="center", size=_NUMBER_SIZE, color=colour)
    return shown


class _Block(NamedTuple):
    """Agents of one group side by side: the group, the first agent's number, how many there are."""

    group: str
    start: int
    size: int


def _blocks(groups: Sequence[str]) -> list[_Block]:
    sizes = [(name, len(list(members))) for name, members in itertools.groupby(groups)]
    starts = itertools.accumulate((size for _, size in sizes), initial=0)
    return [_Block(name, start, size) for (name, size), start in zip(sizes, starts, strict=False)]


def _mark_groups(axes: "Axes", blocks: Sequence[_Block], *, offset: float, upright: bool) -> None:
    """Lines between groups, and their names above and beside them; ``offset`` in cells."""
    for name, start, size in blocks:
        if start:
            axes.axhline(start - 0.5, color="white", linewidth=2.5)
            axes.axvline(start - 0.5, color="white", linewidth=2.5)
        middle = start + size / 2 - 0.5
        named = {"size": _GROUP_SIZE, "weight": "bold", "color": INK, "clip_on": False}
        axes.text(middle, -0.65, plain(name), ha="center", va="bottom", rotation=90 if upright else 0, **named)
        axes.text(-0.5 - offset, middle, plain(name), ha="right", va="center", **named)


def short_number(value: float) -> str:
    """A number in at most five characters where that is possible: 240, 15.3, 1.65, −0.6."""
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value + 0.0:.{digits}f}".replace("-", "−")
