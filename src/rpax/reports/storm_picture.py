"""A picture of STORM: the grid with coins, beams and agents, and what both hold."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from rpax.reports.drawing import FAINT, FLOOR, INK, MUTED, SEAT_COLOURS, Canvas, mixed

if TYPE_CHECKING:
    from rpax.environments.storm.grid import StormState

_CELL, _MARGIN, _LINE = 72, 16, 30
_COIN, _ARROW = 13.0, 24.0
RED_COIN, BLUE_COIN = "#C62F2D", "#2F6FD0"
_BEAM, _ICE, _MARK = "#FFE9A8", "#9CC9EE", "#F6D5D0"


def draw_storm(state: "StormState", *, marked: np.ndarray | None = None) -> UInt8[np.ndarray, "height width 3"]:
    """One state of a game: x to the right, y down, so that an agent's left is where it seems to be.

    Agents are arrows in their seats' colours, with a ring of ice while they are frozen; cells of a beam are yellow.
    Below the grid stand each seat's coins, in the order red, blue, and the step.

    Args:
        state: one game's, not a batch.
        marked: a cell that means harm, tinted.
    """
    from rpax.environments.storm.grid import COIN_CELLS, SIZE

    position, facing = np.asarray(state.position), np.asarray(state.facing)
    board = SIZE * _CELL
    canvas = Canvas(board + 2 * _MARGIN, board + 2 * _MARGIN + 2 * _LINE + 8)
    for x, y in np.ndindex(SIZE, SIZE):
        _cell(canvas, (x, y), FLOOR)
    if marked is not None:
        _cell(canvas, tuple(marked.tolist()), _MARK)
        _cross(canvas, _centre(marked))
    for cell in beam_cells_that_show(state):
        _cell(canvas, cell, _BEAM)
    for cell, blue, lies in zip(COIN_CELLS, np.asarray(state.blue), np.asarray(state.coin), strict=True):
        if lies:
            _coin(canvas, _centre(cell), _COIN, bool(blue))
    shared = bool((position[0] == position[1]).all())
    for seat in (0, 1):
        x, y = _centre(position[seat])
        # Two agents in one cell stand side by side.
        shift = (2 * seat - 1) * 15.0 if shared else 0.0
        _agent(canvas, (x + shift, y + shift), int(facing[seat]), seat, bool(state.frozen > 0), 0.7 if shared else 1.0)
    top = board + 2 * _MARGIN
    for seat in (0, 1):
        _holding(canvas, (_MARGIN, top + _LINE * (seat + 0.5)), seat, np.asarray(state.inventory)[seat])
    right = board + _MARGIN
    canvas.text((right, top + _LINE * 0.5), f"step {int(state.time)}", 13, colour=MUTED, anchor="rm")
    if state.frozen > 0:
        canvas.text(
            (right, top + _LINE * 1.5),
            f"frozen for {int(state.frozen)}",
            13,
            colour=mixed(_ICE, INK, 0.5),
            anchor="rm",
            bold=True,
        )
    return canvas.picture()


def beam_cells_that_show(state: "StormState") -> list[tuple[int, int]]:
    """The cells of the grid that are lit: those of a fired beam that hold neither an agent nor a coin."""
    from rpax.environments.storm.grid import COIN_CELLS, DIRECTIONS, SIZE

    position, taken = np.asarray(state.position), {tuple(cell) for cell in np.asarray(state.position).tolist()}
    taken |= {tuple(cell) for cell in COIN_CELLS[np.asarray(state.coin)].tolist()}
    lit = []
    for seat in (0, 1):
        if not state.beam[seat]:
            continue
        ahead = DIRECTIONS[int(state.facing[seat])]
        left = DIRECTIONS[(int(state.facing[seat]) + 1) % 4]
        for step in (ahead, 2 * ahead, ahead + left, ahead - left):
            x, y = (position[seat] + step).tolist()
            if 0 <= x < SIZE and 0 <= y < SIZE and (x, y) not in taken:
                lit.append((x, y))
    return lit


def _centre(cell: np.ndarray) -> tuple[float, float]:
    x, y = cell.tolist()
    return _MARGIN + (x + 0.5) * _CELL, _MARGIN + (y + 0.5) * _CELL


def _cell(canvas: Canvas, cell: tuple[int, int], fill: str) -> None:
    corner = (_MARGIN + cell[0] * _CELL + 1.5, _MARGIN + cell[1] * _CELL + 1.5)
    canvas.rectangle(corner, (_CELL - 3, _CELL - 3), fill, edge=FAINT, radius=6)


def _cross(canvas: Canvas, centre: tuple[float, float]) -> None:
    x, y = centre
    for sign in (-1, 1):
        canvas.stroke([(x - 9, y - 9 * sign), (x + 9, y + 9 * sign)], mixed(_MARK, "#A03020", 0.5), 3)


def _coin(canvas: Canvas, centre: tuple[float, float], radius: float, blue: bool) -> None:
    colour = BLUE_COIN if blue else RED_COIN
    canvas.disc(centre, radius, colour, edge=mixed(colour, INK, 0.35), line=1.5)
    canvas.disc(centre, radius * 0.62, None, edge=mixed(colour, "#FFFFFF", 0.45), line=1.5)


def _agent(canvas: Canvas, centre: tuple[float, float], facing: int, seat: int, frozen: bool, scale: float) -> None:
    from rpax.environments.storm.grid import DIRECTIONS

    if frozen:
        canvas.disc(centre, 31 * scale, mixed(_ICE, "#FFFFFF", 0.55), edge=_ICE, line=3)
    across, down = DIRECTIONS[facing].tolist()
    colour = SEAT_COLOURS[seat]
    canvas.arrow(centre, _ARROW * scale, (across, down), colour, edge=mixed(colour, INK, 0.4))


def _holding(canvas: Canvas, place: tuple[float, float], seat: int, inventory: np.ndarray) -> None:
    x, y = place
    canvas.arrow((x + 9, y), 9, (1, 0), SEAT_COLOURS[seat])
    canvas.text((x + 26, y), f"seat {seat}", 13, colour=SEAT_COLOURS[seat], bold=True)
    x += 90
    for count, blue in zip(inventory.tolist(), (False, True), strict=True):
        if count > 4:
            _coin(canvas, (x, y), 7.5, blue)
            canvas.text((x + 13, y), f"×{count}", 13)
            x += 60
            continue
        for _ in range(count):
            _coin(canvas, (x, y), 7.5, blue)
            x += 19
    if not inventory.any():
        canvas.text((x - 8, y), "no coins", 13, colour=MUTED)
