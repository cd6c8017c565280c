"""Learning curves and policies over time, with bands over seeds."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Num

from rpax.errors import InputError
from rpax.reports.figure_style import (
    LINE_STYLES,
    MUTED,
    PALETTE,
    figure_style,
    new_figure,
    picture_path,
    plain,
    save_figure,
    seed_band,
    text_size,
    tidy_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_MOST_PANELS_A_ROW = 3
_MOST_NAMES_A_COLUMN = 16
_FEW_CURVES = 6
_NAME_SIZE = 9.0


def draw_learning_curves(
    path: str | pathlib.Path,
    updates: Num[np.ndarray, " _rows"],
    curves: Mapping[str, Num[np.ndarray, "_seeds _rows"]],
    *,
    title: str,
    y_label: str,
    reference: Mapping[str, float] | None = None,
) -> None:
    """Write a figure with one line a curve: the mean over seeds, in a band from the lowest to the highest seed.

    Args:
        path: the picture to write, PNG or SVG by its suffix.
        updates: [rows], the update at which each row was measured.
        curves: name (a pairing, say) to values [seeds, rows]; what is not finite is left out.
        title: stands above the axes.
        y_label: what the values are, with their unit.
        reference: names and heights of dashed lines to compare with.

    Raises:
        InputError: no curve, a curve whose rows are not those of ``updates``, another suffix, or no such folder.
    """
    path = picture_path(path)
    _check_rows("curve", updates, curves, axes=("seeds", "rows"))
    with figure_style():
        names = [plain(name) for name in (*curves, *(reference or {}))]
        columns = -(-len(names) // _MOST_NAMES_A_COLUMN)
        widest = max(text_size(name, _NAME_SIZE)[0] for name in names)
        figure = new_figure(5.9 + columns * (widest + 0.7), 4.2)
        figure.set_layout_engine("constrained", h_pad=0.1, w_pad=0.08)
        axes = figure.add_subplot()
        handles = []
        opacity = 0.16 if len(curves) <= _FEW_CURVES else 0.07
        for number, values in enumerate(curves.values()):
            colour = PALETTE[number % len(PALETTE)]
            style = LINE_STYLES[number // len(PALETTE) % len(LINE_STYLES)]
            handles.append(_draw_band(axes, updates, values, colour, style, opacity))
        for number, height in enumerate((reference or {}).values()):
            dashes = (0, (2 + 3 * number, 2))
            handles.append(axes.axhline(height, color=MUTED, linewidth=1.1, linestyle=dashes, zorder=1.5))
        _tidy(axes, updates)
        axes.set_title(plain(title), loc="left", size=12, weight="bold", pad=10)
        axes.set_xlabel("update")
        axes.set_ylabel(plain(y_label))
        figure.legend(
            handles,
            names,
            loc="outside right upper",
            ncols=columns,
            frameon=False,
            fontsize=_NAME_SIZE,
            handlelength=1.8,
        )
        save_figure(figure, path)


def draw_policies_over_time(
    path: str | pathlib.Path,
    updates: Num[np.ndarray, " _rows"],
    policies: Mapping[str, Num[np.ndarray, "_seeds _rows _actions"]],
    action_names: Mapping[str, Sequence[str]],
    *,
    title: str,
) -> None:
    """Write a figure with a panel for each policy and in it a line for each action: its probability over time.

    Args:
        path: the picture to write, PNG or SVG by its suffix.
        updates: [rows], the update at which each row was measured.
        policies: name (an agent and its seat, say) to probabilities [seeds, rows, actions].
        action_names: the same names to one name an action.
        title: stands above the panels.

    Raises:
        InputError: no policy, rows that are not those of ``updates``, action names that are missing or not one an
            action, another suffix, or no such folder.
    """
    path = picture_path(path)
    _check_rows("policy", updates, policies, axes=("seeds", "rows", "actions"))
    for name, values in policies.items():
        found = len(action_names.get(name, ()))
        if found != values.shape[2]:
            raise InputError(
                f"policy '{name}' has {values.shape[2]} actions but {found} action names; give one name an action"
            )
    columns = min(len(policies), _MOST_PANELS_A_ROW)
    rows = -(-len(policies) // columns)
    with figure_style():
        figure = new_figure(3.4 * columns + 0.6, 2.5 * rows + 0.7)
        figure.set_layout_engine("constrained", h_pad=0.08, w_pad=0.06)
        figure.suptitle(plain(title), x=0.012, ha="left", size=12, weight="bold")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for number, (name, values) in enumerate(policies.items()):
            axes = panels[divmod(number, columns)]
            _draw_policy(axes, updates, values, action_names[name])
            axes.set_title(plain(name), loc="left", size=10)
            if number + columns >= len(policies):
                axes.set_xlabel("update")
                axes.tick_params(labelbottom=True)
            if number % columns == 0:
                axes.set_ylabel("probability")
        for axes in panels.flat[len(policies) :]:
            axes.set_visible(False)
        save_figure(figure, path)


def _draw_policy(axes: "Axes", updates: np.ndarray, values: np.ndarray, names: Sequence[str]) -> None:
    """The lines of one policy, each named at its right end in its colour."""
    ends = []
    for action in range(values.shape[2]):
        colour = PALETTE[action % len(PALETTE)]
        style = LINE_STYLES[action // len(PALETTE) % len(LINE_STYLES)]
        line = _draw_band(axes, updates, values[:, :, action], colour, style)
        heights = np.asarray(line.get_ydata())
        ends.append(heights[-1] if np.isfinite(heights[-1]) else 0.0)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1])
    _tidy(axes, updates)
    for action, height in enumerate(_spread(np.array(ends), apart=0.085)):
        axes.annotate(
            plain(names[action]),
            (1.02, height),
            xycoords=("axes fraction", "data"),
            color=PALETTE[action % len(PALETTE)],
            size=_NAME_SIZE,
            va="center",
        )


def _draw_band(
    axes: "Axes", updates: np.ndarray, values: np.ndarray, colour: str, style: object, opacity: float = 0.16
) -> "Line2D":
    mean, low, high = seed_band(values)
    if len(values) > 1:
        axes.fill_between(updates, low, high, color=colour, alpha=opacity, linewidth=0)
    marker = "o" if len(updates) == 1 else ""
    return axes.plot(updates, mean, color=colour, linestyle=style, linewidth=1.7, marker=marker, markersize=4)[0]


def _tidy(axes: "Axes", updates: np.ndarray) -> None:
    """The common style, and whole updates from the first to the last along the horizontal axis."""
    from matplotlib.ticker import MaxNLocator

    tidy_axes(axes)
    first, last = float(updates[0]), float(updates[-1])
    room = 0.02 * (last - first) if last > first else 1.0
    axes.set_xlim(first - room, last + room)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _spread(heights: np.ndarray, apart: float) -> np.ndarray:
    """``heights`` moved as little as needed for neighbours to be ``apart``, in the same order."""
    order = np.argsort(heights, kind="stable")
    steps = apart * np.arange(len(heights))
    slack = heights[order] - steps
    blocks: list[tuple[float, int]] = []
    for value in slack:
        blocks.append((float(value), 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (upper, n_upper), (lower, n_lower) = blocks.pop(), blocks.pop()
            blocks.append(((upper * n_upper + lower * n_lower) / (n_upper + n_lower), n_upper + n_lower))
    placed = np.empty_like(heights)
    placed[order] = np.concatenate([np.full(count, value) for value, count in blocks]) + steps
    return placed


def _check_rows(what: str, updates: np.ndarray, values: Mapping[str, np.ndarray], *, axes: tuple[str, ...]) -> None:
    if not values:
        raise InputError(f"there is no {what} to draw; give at least one")
    expected = f"[{', '.join(axes)}] with {len(updates)} rows"
    for name, array in values.items():
        if array.ndim != len(axes) or array.shape[1] != len(updates) or 0 in array.shape:
            raise InputError(f"{what} '{name}' has shape {array.shape}; give {expected}, one for each update")
