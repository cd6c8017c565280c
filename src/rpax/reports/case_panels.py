"""Small multiples for experiments: one panel a case, curves over updates with a band over seeds."""

import dataclasses
import pathlib
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from rpax.reports.figure_style import (
    PALETTE,
    figure_style,
    new_figure,
    picture_path,
    plain,
    save_figure,
    seed_band,
    tidy_axes,
)

_LEGEND_SIZE = 7.5


@dataclasses.dataclass(frozen=True)
class Panel:
    """One case.

    Attributes:
        title: above the panel.
        updates: the updates of the rows.
        curves: name to values [seeds, rows].
    """

    title: str
    updates: Int[np.ndarray, " _rows"]
    curves: Mapping[str, Float[np.ndarray, "_seeds _rows"]]


def _wrapped(text: str, inches: float) -> str:
    """A title in lines that fit: bold letters of 12 points are about a ninth of an inch wide."""
    return "\n".join(textwrap.wrap(text, max(1, int(9 * inches))))


def draw_panels(path: str | pathlib.Path, panels: Sequence[Panel], *, title: str, y_label: str, columns: int) -> None:
    """Write the panels as one PNG or SVG picture, ``columns`` a row, all on one scale.

    Raises:
        InputError: another suffix, or no such folder.
    """
    path = picture_path(path)
    rows = -(-len(panels) // columns)
    with figure_style():
        figure = new_figure(3.7 * columns + 0.5, 2.9 * rows + 0.6)
        figure.set_layout_engine("constrained", h_pad=0.08, w_pad=0.06)
        figure.suptitle(_wrapped(plain(title), figure.get_figwidth()), x=0.012, ha="left", size=12, weight="bold")
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        # One legend for all panels where they show the same curves, else one in each.
        shared = len({tuple(panel.curves) for panel in panels}) == 1
        for number, panel in enumerate(panels):
            axes = grid[divmod(number, columns)]
            for colour, (name, values) in zip(_colours(len(panel.curves)), panel.curves.items(), strict=True):
                mean, low, high = seed_band(values)
                axes.plot(panel.updates, mean, color=colour, linewidth=1.4, label=plain(name))
                axes.fill_between(panel.updates, low, high, color=colour, alpha=0.16, linewidth=0)
            tidy_axes(axes)
            axes.set_title(plain(panel.title), loc="left", size=9.5)
            axes.set_xlabel("update")
            if number % columns == 0:
                axes.set_ylabel(plain(y_label))
            if len(panel.curves) > 1 and not shared:
                axes.legend(fontsize=_LEGEND_SIZE, frameon=False, loc="best", ncols=2, handlelength=1.2)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        if shared and len(panels[0].curves) > 1:
            handles, names = grid[0, 0].get_legend_handles_labels()
            figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=9)
        save_figure(figure, path)


def _colours(count: int) -> list[str]:
    return [PALETTE[number % len(PALETTE)] for number in range(count)]
