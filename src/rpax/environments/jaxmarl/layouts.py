"""Overcooked layouts drawn as text: our own ones, reading and checking a user's. Imports neither JAX nor JaxMARL.

Symbols: ``W`` counter (wall), ``A`` start of an agent, ``P`` pot, ``O`` onions, ``B`` plates (bowls), ``X`` delivery,
space floor. Stations are counters too: nobody walks on them. Items can be laid on plain counters only.
"""

import pathlib
from collections.abc import Iterable, Mapping, Sequence

from rpax.errors import InputError, shown
from rpax.untrusted import MOST_LAYOUT, read_text

#: (line, column), from 0.
Cell = tuple[int, int]

#: The five layouts of Overcooked-AI, in JaxMARL's spelling.
CLASSIC = ("cramped_room", "coord_ring", "counter_circuit", "forced_coord", "asymm_advantages")

#: Layouts of our own in which neither agent can cook alone: items pass over the counters that both rooms touch.
OWN = {
    # Onions and plates left, pot and delivery right; two counters to pass over, at opposite ends of the rooms.
    "forced_two_exchange": """
WOWWWPW
O  W  W
WAWWWAW
B  W  X
WWWWWWW
""",
    # Onions and delivery left, pots and plates right; soups come back. Three counters to pass over.
    "forced_three_exchange": """
WOWWWPW
O  W  P
W WWW W
XA W AB
W WWW W
W  W  W
WWWWWWW
""",
    # A pot in either room, onions and delivery left, plates right: two ways to divide the work, two counters.
    "forced_split_pot": """
WPWWWPW
O  W  W
WA W AB
X WWW W
WWWWWWW
""",
}

_STATIONS = {"P": "pot", "O": "onion pile", "B": "plate pile", "X": "delivery"}
_LEGEND = "W counter, A agent, P pot, O onions, B plates, X delivery, space floor"
_SMALLEST, _LARGEST = 3, 32


def read_layout(source: object) -> str:
    """A layout as the user gives it: text of several lines, a list of lines, or the path of a ``.txt`` file.

    Returns:
        The drawing without empty lines around it and without common indentation; that of a file is checked.

    Raises:
        InputError: it is none of these, or the file cannot be read or is drawn wrong.
    """
    if isinstance(source, pathlib.Path) or (
        isinstance(source, str) and "\n" not in source and source.strip().lower().endswith(".txt")
    ):
        path = pathlib.Path(source if isinstance(source, pathlib.Path) else source.strip())
        return _read_file(path)
    if isinstance(source, str) and "\n" not in source.strip():
        raise InputError(
            f"layout {shown(source)} is one line, and no file whose name ends in .txt; draw it in lines of "
            f"{_LEGEND}, or name a .txt file"
        )
    if isinstance(source, list | tuple) and all(isinstance(line, str) for line in source):
        source = "\n".join(source)
    if not isinstance(source, str):
        raise InputError(f"layout {shown(source)} is no text; draw it in lines of {_LEGEND}, or name a .txt file")
    return _without_margins(source)


def _read_file(path: pathlib.Path) -> str:
    drawing = _without_margins(read_text(path, MOST_LAYOUT, f"layout file {path}"))
    try:
        check_layout(drawing)
    except InputError as error:
        raise InputError(f"layout file {path}{str(error).removeprefix('layout')}") from None
    return drawing


def _without_margins(text: str) -> str:
    lines = [line.rstrip(" \r") for line in text.split("\n")]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    indentation = min((len(line) - len(line.lstrip(" ")) for line in lines if line), default=0)
    return "\n".join(line[indentation:] for line in lines)


def check_layout(text: str) -> None:
    """Whether two agents can cook and deliver soup on the drawing.

    Checked: the symbols, a rectangle of 3 × 3 … 32 × 32 with a closed border, exactly two agents, at least one pot,
    onion pile, plate pile and delivery, every station within reach of an agent, and, where no agent can do all alone,
    counters (or pots) through which the items get where they are needed.

    Raises:
        InputError: something is missing, out of reach or not drawn well; says in which line and column.
    """
    rows = text.split("\n")
    _check_drawing(rows)
    starts = _check_contents(rows)
    reached = reachable_floor(rows, starts)
    touched = [{cell for floor in cells for cell in _neighbours(floor)} for cells in reached]
    for line, column in sorted(_cells(rows, _STATIONS)):
        if not any((line, column) in cells for cells in touched):
            raise InputError(
                f"layout: no agent can stand next to the {_STATIONS[rows[line][column]]} at "
                f"{_place((line, column))}; put floor beside it that an agent can reach"
            )
    _check_work(rows, starts, touched)


def _check_drawing(rows: Sequence[str]) -> None:
    width = len(rows[0])
    for line, row in enumerate(rows):
        for column, symbol in enumerate(row):
            if symbol not in "WA " and symbol not in _STATIONS:
                raise InputError(f"layout: {symbol!r} at {_place((line, column))} is no symbol; use {_LEGEND}")
        if len(row) != width:
            raise InputError(
                f"layout: line {line + 1} has {len(row)} columns, line 1 has {width}; "
                "draw a rectangle, closed by counters (W) or stations"
            )
    if not (_SMALLEST <= len(rows) <= _LARGEST and _SMALLEST <= width <= _LARGEST):
        raise InputError(
            f"layout: {len(rows)} lines × {width} columns; draw {_SMALLEST} × {_SMALLEST} to {_LARGEST} × {_LARGEST}"
        )
    for line, column in sorted(_cells(rows, " A")):
        if line in (0, len(rows) - 1) or column in (0, width - 1):
            raise InputError(
                f"layout: the border is open at {_place((line, column))}; close it with counters (W) or stations"
            )


def _check_contents(rows: Sequence[str]) -> tuple[Cell, Cell]:
    """The two agents' starts."""
    starts = sorted(_cells(rows, "A"))
    if len(starts) < 2:
        found = f"only one agent, at {_place(starts[0])}" if starts else "no agent"
        raise InputError(f"layout: {found}; mark exactly two start positions with A")
    if len(starts) > 2:
        raise InputError(f"layout: a third agent at {_place(starts[2])}; mark exactly two start positions with A")
    for symbol, station in _STATIONS.items():
        if not _cells(rows, symbol):
            raise InputError(f"layout: no {station}; draw at least one {symbol}")
    return starts[0], starts[1]


def reachable_floor(rows: Sequence[str], starts: tuple[Cell, Cell]) -> tuple[set[Cell], set[Cell]]:
    """Where each agent can stand if the other makes way.

    In a room of their own that is the whole room, and in a shared one too, unless the room is a corridor without a fork
    or a loop: there agents cannot pass each other, so each misses at least the last cell behind the other.
    """
    rooms = (_room(rows, starts[0]), _room(rows, starts[1]))
    if rooms[0] != rooms[1]:
        return rooms
    corridor = _as_corridor(rooms[0])
    if corridor is None:
        return rooms
    first_comes_first = corridor.index(starts[0]) < corridor.index(starts[1])
    front, back = set(corridor[:-1]), set(corridor[1:])
    return (front, back) if first_comes_first else (back, front)


def _room(rows: Sequence[str], start: Cell) -> set[Cell]:
    room, edge = {start}, [start]
    while edge:
        for line, column in _neighbours(edge.pop()):
            if rows[line][column] in " A" and (line, column) not in room:
                room.add((line, column))
                edge.append((line, column))
    return room


def _as_corridor(room: set[Cell]) -> list[Cell] | None:
    """The cells from one end to the other, or ``None`` where the room has a fork or a loop."""
    beside = {cell: [other for other in _neighbours(cell) if other in room] for cell in room}
    ends = sorted(cell for cell, others in beside.items() if len(others) == 1)
    if not ends or any(len(others) > 2 for others in beside.values()):
        return None
    path = [ends[0]]
    while len(path) < len(room):
        path.append(next(cell for cell in beside[path[-1]] if cell not in path[-2:]))
    return path


def _check_work(rows: Sequence[str], starts: tuple[Cell, Cell], touched: Sequence[set[Cell]]) -> None:
    """Whether onions get into a pot, a plate to that pot and the soup to a delivery."""
    near = [{s: {c for c in cells if rows[c[0]][c[1]] == s} for s in ("W", *_STATIONS)} for cells in touched]
    for agent in (0, 1):
        if not any(near[agent][symbol] for symbol in _STATIONS) and not near[0]["W"] & near[1]["W"]:
            raise InputError(
                f"layout: the agent at {_place(starts[agent])} reaches no station and no counter shared with the "
                "other; give it something to do"
            )
    if near[0]["W"] & near[1]["W"]:
        return
    if not near[0]["P"] & near[1]["P"]:
        raise InputError(
            f"layout: the agents at {_place(starts[0])} and {_place(starts[1])} are apart and share no counter and no "
            "pot; let both reach one, so that they can pass items"
        )
    cooked = [pot for agent in near if agent["O"] for pot in agent["P"]]
    if not any(agent["B"] and agent["X"] and agent["P"] & set(cooked) for agent in near):
        raise InputError(
            f"layout: the agents at {_place(starts[0])} and {_place(starts[1])} share no counter, and neither can "
            "take soup from a filled pot to the delivery; let both reach a counter (W)"
        )


def _cells(rows: Sequence[str], symbols: str | Mapping[str, str]) -> set[Cell]:
    return {(line, column) for line, row in enumerate(rows) for column, s in enumerate(row) if s in symbols}


def _neighbours(cell: Cell) -> Iterable[Cell]:
    line, column = cell
    return (line - 1, column), (line + 1, column), (line, column - 1), (line, column + 1)


def _place(cell: Cell) -> str:
    return f"line {cell[0] + 1}, column {cell[1] + 1}"
