"""Where the boxes, arrows and labels of an objective's graph lie, in inches, by fixed rules.

Base agents and fixed agents stand in a row at height 0, each manipulator above the base agent that it shapes. Arrows
between neighbours run from side to side, others in arcs below the row, and to and from manipulators in straight lines.
"""

import itertools
from typing import NamedTuple

import numpy as np

from rpax.objectives import Objective, ObjectiveEdge
from rpax.objectives.edges import BOTH_SEATS, Role
from rpax.reports.figure_style import signed, text_size

# Lengths in inches, font sizes in points.
BOX_HEIGHT, _BOX_WIDTH, _GAP, _ROWS_APART = 0.68, 1.55, 1.45, 2.9
LABEL_SIZE, NAME_SIZE, ROLE_SIZE = 11.0, 11.5, 8.5
HEAD_LENGTH = 0.16
_CURVE_POINTS = 200
_MOST_PERMUTED = 7
_MOST_ARRANGED, _LABEL_ROUNDS = 150, 6


class Box(NamedTuple):
    """An agent's box: its centre and its width."""

    name: str
    role: Role
    x: float
    y: float
    width: float


class Spot(NamedTuple):
    """A place for a label: its centre, its angle in degrees, and how little it is liked."""

    x: float
    y: float
    angle: float
    dislike: float


class Arrow(NamedTuple):
    """A routed edge, or (``edge`` is None) the link from a manipulator to the base agent that it shapes."""

    edge: ObjectiveEdge | None
    points: np.ndarray
    text: str
    size: tuple[float, float]
    spots: tuple[Spot, ...]


class _Link(NamedTuple):
    """An arrow before it is routed."""

    edge: ObjectiveEdge | None
    tail: str
    head: str
    text: str


def _links(objective: Objective) -> list[_Link]:
    links = []
    for edge in objective.edges:
        other = edge.partner if edge.actor == edge.beneficiary else edge.beneficiary
        links.append(_Link(edge, edge.learner, other, edge_label(edge)))
    return links + [_Link(None, name, objective.shaped_by(name), "shapes") for name in objective.manipulators]


def edge_label(edge: ObjectiveEdge) -> str:
    """Weight, whose return, and the seat of that agent where the edge is not played from both."""
    seat = "" if set(edge.seats) == set(BOTH_SEATS) else f" (seat {edge.seats[0]})"
    mixed = f" mixed with {edge.mixed_with}" if edge.mixed_with else ""
    return rf"{signed(edge.weight)} $U_{{\text{{{edge.beneficiary}}}}}${mixed}{seat}"


def _row_order(objective: Objective) -> tuple[str, ...]:
    """Base and fixed agents from left to right: as given, unless another order makes the arrows shorter."""
    row = (*objective.bases, *objective.fixed)
    row = tuple(name for name in objective.agents if name in row)
    if len(row) > _MOST_PERMUTED:
        return row

    def total_length(order: tuple[str, ...]) -> int:
        place = {name: order.index(name) for name in order}
        return sum(abs(place[edge.beneficiary] - place[edge.partner]) for edge in played if edge.partner in place)

    played = objective.edges
    return min(itertools.permutations(row), key=total_length)


def place_boxes(objective: Objective) -> dict[str, Box]:
    """Every agent's box, wide enough for the longest name and far enough apart for the longest label."""
    names = [text_size(name, NAME_SIZE, "bold")[0] for name in objective.agents]
    row = _row_order(objective)
    crowd = min(3.5, 1.1 + 0.44 * (len(row) - 1)) if objective.manipulators else 0.0
    width = max(_BOX_WIDTH, max(names) + 0.5, crowd)
    labels = [text_size(edge_label(edge), LABEL_SIZE)[0] for edge in objective.edges]
    step = width + max(_GAP, max(labels) + 0.7)
    columns = {name: [m for m in objective.manipulators if objective.shaped_by(m) == name] for name in row}
    high = max(_ROWS_APART, 0.33 * step * (len(row) - 1))
    boxes, left = {}, 0.0
    for name, above in columns.items():
        slots = max(1, len(above))
        boxes[name] = Box(name, objective.agents[name], left + step * (slots - 1) / 2, 0.0, width)
        for slot, manipulator in enumerate(above):
            boxes[manipulator] = Box(manipulator, "manipulator", left + step * slot, high, width)
        left += step * slots
    return boxes


def route_arrows(objective: Objective, boxes: dict[str, Box]) -> list[Arrow]:
    """A curve and places for a label for every link, by how the two boxes lie to each other."""
    row = [name for name, box in boxes.items() if box.y == 0]
    links = _links(objective)
    between = [link for link in links if boxes[link.tail].y != boxes[link.head].y]
    loops = [link for link in links if link.tail == link.head]
    level = [link for link in links if link not in between and link not in loops]
    beside = [link for link in level if abs(row.index(link.tail) - row.index(link.head)) == 1]
    far = [link for link in level if link not in beside]
    return [
        *_route_between_rows(between, boxes),
        *_route_beside(beside, boxes),
        *_route_loops(loops, boxes, _away_from_arcs(far, boxes) if between else {}, below=bool(between)),
        *_route_arcs(far, boxes, row, below_loops=bool(loops) and bool(between)),
    ]


def curve(*control: tuple[float, float]) -> np.ndarray:
    """A cubic Bézier curve, or a straight line from two points."""
    t = np.linspace(0, 1, _CURVE_POINTS)[:, None]
    p = np.array(control, dtype=float)
    if len(p) == 2:
        return p[0] + t * (p[1] - p[0])
    return (1 - t) ** 3 * p[0] + 3 * (1 - t) ** 2 * t * p[1] + 3 * (1 - t) * t**2 * p[2] + t**3 * p[3]


def _spots_along(points: np.ndarray, width: float, ideal: float, *, turned: bool) -> tuple[Spot, ...]:
    """Places on the curve where a label of ``width`` leaves both ends of it free."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    margin = width / 2 + HEAD_LENGTH + 0.08
    spots = []
    for share in np.linspace(0.1, 0.9, 25):
        if not margin <= share * travelled[-1] <= travelled[-1] - margin:
            continue
        at = min(int(np.searchsorted(travelled, share * travelled[-1])), _CURVE_POINTS - 2)
        along = points[at + 1] - points[at]
        angle = float(np.degrees(np.arctan2(along[1], along[0]))) if turned else 0.0
        angle = (angle + 90) % 180 - 90 if abs(abs(angle) - 90) > 1 else 90.0
        spots.append(Spot(points[at, 0], points[at, 1], angle, 4 * abs(share - ideal)))
    middle = points[_CURVE_POINTS // 2]
    return tuple(spots) or (Spot(middle[0], middle[1], 0.0, 0.0),)


def _arrow(link: _Link, points: np.ndarray, *, ideal: float = 0.5, turned: bool = False) -> Arrow:
    size = _label_size(link)
    return Arrow(link.edge, points, link.text, size, _spots_along(points, size[0], ideal, turned=turned))


def _label_size(link: _Link) -> tuple[float, float]:
    width, height = text_size(link.text, LABEL_SIZE if link.edge else ROLE_SIZE)
    return width + 0.14, height + 0.06


def _route_beside(links: list[_Link], boxes: dict[str, Box]) -> list[Arrow]:
    """Between neighbours in the row: from side to side, those to the right above those to the left."""
    channels: dict[tuple[float, float], list[_Link]] = {}
    for link in links:
        ends = sorted((boxes[link.tail].x, boxes[link.head].x))
        channels.setdefault((ends[0], ends[1]), []).append(link)
    arrows = []
    for (left, right), channel in channels.items():
        channel = sorted(channel, key=lambda link: boxes[link.tail].x)
        reach = boxes[channel[0].tail].width / 2 + 0.03
        for place, link in enumerate(channel):
            lift = (len(channel) - 1) / 2 - place
            port = lift * min(0.26, (BOX_HEIGHT - 0.2) / max(1, len(channel) - 1))
            bow = lift * 0.62
            x0, x1 = left + reach, right - reach
            bend = (x1 - x0) / 3
            points = curve((x0, port), (x0 + bend, bow), (x1 - bend, bow), (x1, port))
            arrows.append(_arrow(link, points if boxes[link.tail].x == left else points[::-1]))
    return arrows


def _away_from_arcs(far: list[_Link], boxes: dict[str, Box]) -> dict[str, float]:
    """How far a loop below a box moves from the middle where all of the box's arcs leave to one side."""
    sides: dict[str, set[int]] = {}
    for link in far:
        way = 1 if boxes[link.head].x > boxes[link.tail].x else -1
        sides.setdefault(link.tail, set()).add(way)
        sides.setdefault(link.head, set()).add(-way)
    return {name: -0.25 * boxes[name].width * ways.copy().pop() for name, ways in sides.items() if len(ways) == 1}


def _route_loops(links: list[_Link], boxes: dict[str, Box], aside: dict[str, float], *, below: bool) -> list[Arrow]:
    """Self-play: loops on top of the box, or below it where manipulators stand above, moved ``aside`` from arcs."""
    way = -1 if below else 1
    count: dict[str, int] = {}
    arrows = []
    for link in links:
        box, nth = boxes[link.tail], count.get(link.tail, 0)
        middle = box.x + aside.get(link.tail, 0.0)
        count[link.tail] = nth + 1
        edge_y, half, tall = box.y + way * (BOX_HEIGHT / 2 + 0.03), 0.15 + 0.17 * nth, 0.62 + 0.62 * nth
        points = curve(
            (middle - half, edge_y),
            (middle - 2.3 * half, edge_y + way * tall),
            (middle + 2.3 * half, edge_y + way * tall),
            (middle + half, edge_y),
        )
        size = _label_size(link)
        spot = Spot(middle, edge_y + way * (0.75 * tall + 0.17), 0.0, 0.0)
        arrows.append(Arrow(link.edge, points, link.text, size, (spot,)))
    return arrows


def _route_arcs(links: list[_Link], boxes: dict[str, Box], row: list[str], *, below_loops: bool) -> list[Arrow]:
    """Between agents further apart in the row: nested arcs below it, the longer the deeper."""
    place = {name: number for number, name in enumerate(row)}

    def track(link: _Link) -> tuple[int, bool, int]:
        span = place[link.head] - place[link.tail]
        before = links[: links.index(link)]
        return abs(span), span < 0, sum((other.tail, other.head) == (link.tail, link.head) for other in before)

    tracks = sorted({track(link) for link in links})
    ports: dict[str, dict[bool, list[_Link]]] = {name: {False: [], True: []} for name in row}
    for link in sorted(links, key=track):
        for here, there in ((link.tail, link.head), (link.head, link.tail)):
            ports[here][place[there] > place[here]].append(link)

    def port(link: _Link, here: str, there: str) -> float:
        to_right = place[there] > place[here]
        group = ports[here][to_right]
        outermost = boxes[here].width / 2 - 0.12
        offset = outermost - group.index(link) * min(0.2, (outermost - 0.28) / max(1, len(group) - 1))
        return boxes[here].x + (offset if to_right else -offset)

    arrows = []
    top = -BOX_HEIGHT / 2 - 0.03
    for link in links:
        depth = (1.0 if below_loops else 0.6) + 0.4 * tracks.index(track(link))
        x0, x1 = port(link, link.tail, link.head), port(link, link.head, link.tail)
        down = top - depth / 0.75
        arrows.append(_arrow(link, curve((x0, top), (x0, down), (x1, down), (x1, top))))
    return arrows


def _route_between_rows(links: list[_Link], boxes: dict[str, Box]) -> list[Arrow]:
    """Between a manipulator and the row below: straight lines, side by side where the manipulator is right above."""
    ends: dict[str, list[_Link]] = {}
    for link in links:
        ends.setdefault(link.tail, []).append(link)
        ends.setdefault(link.head, []).append(link)
    ports = {name: _ports(name, its_links, boxes) for name, its_links in ends.items()}
    arrows = []
    for link in links:
        tail, head = boxes[link.tail], boxes[link.head]
        way = 1 if head.y > tail.y else -1
        reach = way * (BOX_HEIGHT / 2 + 0.03)
        start = (tail.x + ports[tail.name][link], tail.y + reach)
        end = (head.x + ports[head.name][link], head.y - reach)
        arrow = _arrow(link, curve(start, end), ideal=0.3 if link.edge else 0.5, turned=True)
        if tail.x == head.x and link.edge:
            aside = np.sign(start[0] - tail.x) or 1
            spots = [
                Spot(start[0] + aside * (arrow.size[0] / 2 + 0.06), start[1] + share * (end[1] - start[1]), 0.0, 0.0)
                for share in (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74)
            ]
            arrow = arrow._replace(spots=(*spots, *(spot._replace(dislike=8) for spot in arrow.spots)))
        arrows.append(arrow)
    return arrows


def _ports(name: str, links: list[_Link], boxes: dict[str, Box]) -> dict[_Link, float]:
    """Where each link meets the box, measured from its middle: in the order in which the other ends lie."""
    here = boxes[name]

    def other(link: _Link) -> Box:
        return boxes[link.head if link.tail == name else link.tail]

    def upward(link: _Link) -> int:
        return 0 if boxes[link.head].y > 0 else (1 if link.edge is None else 2)

    sides = {-1: [], 0: [], 1: []}
    for link in links:
        sides[int(np.sign(other(link).x - here.x))].append(link)
    middle = sorted(sides[0], key=upward)
    half = (len(middle) - 1) / 2 * 0.34 if middle else -0.1
    offsets = {link: (place - (len(middle) - 1) / 2) * 0.34 for place, link in enumerate(middle)}
    room = here.width / 2 - 0.22 - half
    for side in (-1, 1):
        outward = sorted(sides[side], key=lambda link: (abs(other(link).x - here.x), side * upward(link)))
        step = min(0.3, room / max(1, len(outward)))
        offsets |= {link: side * (half + step * (place + 1)) for place, link in enumerate(outward)}
    return offsets


def place_labels(arrows: list[Arrow], boxes: dict[str, Box]) -> list[Spot]:
    """One of each arrow's places for its label, such that labels keep clear of boxes, of each other and of lines.

    Graphs too crowded for that to help take the first choice of every arrow.
    """
    if len(arrows) > _MOST_ARRANGED:
        return [min(arrow.spots, key=lambda spot: spot.dislike) for arrow in arrows]
    obstacles = [(Spot(box.x, box.y, 0.0, 0.0), (box.width + 0.1, BOX_HEIGHT + 0.1)) for box in boxes.values()]
    costs = []
    for number, arrow in enumerate(arrows):
        lines = np.concatenate(
            [np.empty((0, 2)), *(other.points[::2] for other in arrows[:number] + arrows[number + 1 :])]
        )
        costs.append(
            [
                spot.dislike
                + _inside(lines, spot, arrow.size)
                + 100 * sum(_overlap(spot, arrow.size, *obstacle) for obstacle in obstacles)
                for spot in arrow.spots
            ]
        )
    chosen = [int(np.argmin(cost)) for cost in costs]
    for _ in range(_LABEL_ROUNDS):
        before = list(chosen)
        for number, arrow in enumerate(arrows):
            others = [(arrows[n].spots[chosen[n]], arrows[n].size) for n in range(len(arrows)) if n != number]
            clashes = [sum(_overlap(spot, arrow.size, *other) for other in others) for spot in arrow.spots]
            chosen[number] = int(np.argmin(np.add(costs[number], np.multiply(30, clashes))))
        if chosen == before:
            break
    return [arrow.spots[index] for arrow, index in zip(arrows, chosen, strict=True)]


def _inside(points: np.ndarray, spot: Spot, size: tuple[float, float]) -> int:
    """How many ``points`` lie in the rectangle of ``size`` centred and turned as ``spot`` says."""
    angle = np.radians(spot.angle)
    delta = points - (spot.x, spot.y)
    along = np.abs(delta @ (np.cos(angle), np.sin(angle)))
    across = np.abs(delta @ (-np.sin(angle), np.cos(angle)))
    return int(np.sum((along <= size[0] / 2) & (across <= size[1] / 2)))


def _overlap(spot: Spot, size: tuple[float, float], other: Spot, other_size: tuple[float, float]) -> int:
    """How much two turned rectangles overlap, in points of a grid laid over each."""
    if np.hypot(spot.x - other.x, spot.y - other.y) > (np.hypot(*size) + np.hypot(*other_size)) / 2:
        return 0
    return _inside(grid_over(other, other_size), spot, size) + _inside(grid_over(spot, size), other, other_size)


def grid_over(spot: Spot, size: tuple[float, float]) -> np.ndarray:
    """Points all over the rectangle of ``size`` centred and turned as ``spot`` says: [75, 2]."""
    angle = np.radians(spot.angle)
    along, across = np.meshgrid(np.linspace(-0.5, 0.5, 15) * size[0], np.linspace(-0.5, 0.5, 5) * size[1])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.stack([along.ravel(), across.ravel()], axis=1) @ turn + (spot.x, spot.y)
