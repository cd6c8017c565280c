"""A picture of the payoff table of one state of a tabular game."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from rpax.environments.tabular_game import END, TabularGame
from rpax.errors import InputError
from rpax.reports.figure_style import FAINT, INK, MUTED, PALETTE, figure_style, new_figure, plain, text_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Lengths in inches, font sizes in points.
_CELL_HEIGHT, _CELL_WIDTH, _MARGIN, _HEADER = 0.8, 1.15, 0.2, 0.8
_PAYOFF_SIZE, _NAME_SIZE, _TITLE_SIZE, _NOTE_SIZE = 13.0, 11.0, 10.0, 8.5
_DOTS_PER_INCH, _MOST_DOTS, _FEWEST_DOTS_A_CELL = 100, 1400, 30
_SEAT_COLOURS = PALETTE[:2]
_GOOD, _BAD = np.array([214, 232, 245]) / 255, np.array([250, 222, 208]) / 255


def draw_payoff_table(game: TabularGame, state: int) -> UInt8[np.ndarray, "height width 3"]:
    """The payoffs of every joint action at ``state``, and where it leads in a game with more than one state.

    Rows are seat 0's actions, columns seat 1's. A cell shows seat 0's payoff in its lower left and seat 1's in its
    upper right corner, or one number where the payoff is common in the whole state. Cells are tinted by the mean of
    the two payoffs, blue for the highest and orange for the lowest; tables too large to read show the tints alone.

    Raises:
        InputError: the game has no such state.
    """
    if not 0 <= state < game.num_states:
        raise InputError(f"game '{game.name}' has no state {state}; give one of 0 … {game.num_states - 1}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    title = game.name if game.is_normal_form else f"{game.name}, state {state}"
    rows, columns = ([space.name_of(action) for action in range(space.num_actions)] for space in game.spaces)
    left = _MARGIN + 0.25 + max(text_size(name, _NAME_SIZE, "bold")[0] for name in rows)
    cell = max(_CELL_WIDTH, 0.2 + max(text_size(name, _NAME_SIZE, "bold")[0] for name in columns))
    width = max(left + cell * len(columns), _MARGIN + text_size(plain(title), _TITLE_SIZE)[0]) + _MARGIN
    height = _MARGIN + _HEADER + _CELL_HEIGHT * len(rows) + _MARGIN
    scale = min(1.0, _MOST_DOTS / _DOTS_PER_INCH / max(width, height))
    with figure_style():
        figure = new_figure(width, height)
        figure.set_dpi(_DOTS_PER_INCH * scale)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.text(_MARGIN, _MARGIN + 0.12, plain(title), size=_TITLE_SIZE, color=MUTED, va="center")
        x = left + cell * np.arange(len(columns) + 1)
        y = _MARGIN + _HEADER + _CELL_HEIGHT * np.arange(len(rows) + 1)
        axes.imshow(_tints(game.payoffs[state].mean(axis=-1)), extent=(x[0], x[-1], y[-1], y[0]), aspect="auto")
        if _CELL_HEIGHT * _DOTS_PER_INCH * scale >= _FEWEST_DOTS_A_CELL:
            axes.hlines(y, x[0], x[-1], color=FAINT, linewidth=1.2)
            axes.vlines(x, y[0], y[-1], color=FAINT, linewidth=1.2)
            named = {"size": _NAME_SIZE, "weight": "bold", "va": "center"}
            for row, name in enumerate(rows):
                axes.text(
                    left - 0.12, y[row] + _CELL_HEIGHT / 2, plain(name), ha="right", color=_SEAT_COLOURS[0], **named
                )
            for column, name in enumerate(columns):
                axes.text(x[column] + cell / 2, y[0] - 0.2, plain(name), ha="center", color=_SEAT_COLOURS[1], **named)
            for row, column in np.ndindex(len(rows), len(columns)):
                _write_cell(axes, game, (state, row, column), (float(x[column]), float(y[row])), cell)
        axes.set(xlim=(0, width), ylim=(height, 0))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.array(canvas.buffer_rgba())[:, :, :3].copy()


def _tints(values: np.ndarray) -> np.ndarray:
    """A background colour for each value, white in the middle of their range: [n, m, 3]."""
    low, high = values.min(), values.max()
    share = (values - low) / (high - low) * 2 - 1 if high > low else np.zeros_like(values)
    return 1 - np.maximum(share, 0)[..., None] * (1 - _GOOD) - np.maximum(-share, 0)[..., None] * (1 - _BAD)


def _write_cell(
    axes: "Axes", game: TabularGame, move: tuple[int, int, int], corner: tuple[float, float], width: float
) -> None:
    """One joint action: what it pays and, except in a normal-form game, what follows."""
    x, y = corner
    payoffs = game.payoffs[move[0]]
    lift = 0.0 if game.is_normal_form else 0.08
    number = {"ha": "center", "va": "center", "size": _PAYOFF_SIZE}
    if np.array_equal(payoffs[..., 0], payoffs[..., 1]):
        axes.text(x + width / 2, y + _CELL_HEIGHT / 2 - lift, _number(payoffs[move[1:]][0]), color=INK, **number)
    else:
        for payoff, colour, across, down in zip(
            payoffs[move[1:]], _SEAT_COLOURS, (0.27, 0.73), (0.68, 0.32), strict=True
        ):
            axes.text(x + across * width, y + down * _CELL_HEIGHT - lift, _number(payoff), color=colour, **number)
    if not game.is_normal_form:
        following = int(game.next_state[move])
        note = "end" if following == END else f"→ {following}"
        axes.text(x + width / 2, y + _CELL_HEIGHT - 0.16, note, ha="center", va="center", size=_NOTE_SIZE, color=MUTED)


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")
