"""An objective's graph as plain data, laid out as in the pictures of `rpax show`."""

from typing import Any

import numpy as np

from rpax.objectives import Objective
from rpax.objectives.edges import BOTH_SEATS
from rpax.reports.figure_style import signed
from rpax.reports.graph_layout import BOX_HEIGHT, Arrow, Spot, grid_over, place_boxes, place_labels, route_arrows
from rpax.web.book.text import name_text

#: Agents and edges of a graph that can still be read.
MOST_AGENTS, MOST_EDGES = 40, 160
_PIXELS_PER_INCH, _MARGIN = 100, 0.3
_CURVE_POINTS = 24


def graph_of(objective: Objective) -> dict[str, Any] | None:
    """Boxes and arrows in pixels, y downwards; ``None`` for a graph too large to be read.

    Returns:
        ``width``, ``height``, ``nodes`` (name, role, about, x, y of the centre, width, height), ``edges`` (points,
        the label's place, weight, agents), and ``rational``.
    """
    if len(objective.agents) > MOST_AGENTS or len(objective.edges) > MOST_EDGES:
        return None
    boxes = place_boxes(objective)
    arrows = route_arrows(objective, boxes)
    labels = place_labels(arrows, boxes)
    extents = [grid_over(spot, arrow.size) for spot, arrow in zip(labels, arrows, strict=True)]
    extents += [arrow.points for arrow in arrows]
    extents += [grid_over(Spot(box.x, box.y, 0, 0), (box.width, BOX_HEIGHT)) for box in boxes.values()]
    low = np.concatenate(extents).min(axis=0) - _MARGIN
    high = np.concatenate(extents).max(axis=0) + _MARGIN

    def place(x: float, y: float) -> list[float]:
        return [round((x - low[0]) * _PIXELS_PER_INCH, 1), round((high[1] - y) * _PIXELS_PER_INCH, 1)]

    nodes = []
    for box in boxes.values():
        x, y = place(box.x, box.y)
        about = f"shapes {objective.shaped_by(box.name)}" if box.role == "manipulator" else box.role
        size = {"width": round(box.width * _PIXELS_PER_INCH, 1), "height": round(BOX_HEIGHT * _PIXELS_PER_INCH, 1)}
        nodes.append({"name": name_text(box.name), "role": box.role, "about": name_text(about), "x": x, "y": y, **size})
    edges = []
    for arrow, spot in zip(arrows, labels, strict=True):
        points = arrow.points[np.linspace(0, len(arrow.points) - 1, _CURVE_POINTS).round().astype(int)]
        x, y = place(spot.x, spot.y)
        drawn = {"points": [place(*point) for point in points.tolist()], "x": x, "y": y, "angle": round(-spot.angle, 1)}
        size = dict(zip(("width", "height"), (round(side * _PIXELS_PER_INCH, 1) for side in arrow.size), strict=True))
        edges.append(drawn | size | _about(objective, arrow))
    width, height = ((high - low) * _PIXELS_PER_INCH).round().tolist()
    rational = objective.preserves_rationality
    return {"width": width, "height": height, "nodes": nodes, "edges": edges, "rational": rational}


def _about(objective: Objective, arrow: Arrow) -> dict[str, Any]:
    """What an arrow means; of the link from a manipulator to the agent that it shapes, nothing."""
    edge = arrow.edge
    if edge is None:
        return {"label": arrow.text, "weight": None}
    both = set(edge.seats) == set(BOTH_SEATS)
    return {
        "weight": signed(edge.weight),
        "raises": edge.weight > 0,
        "learner": name_text(edge.learner),
        "beneficiary": name_text(edge.beneficiary),
        "partner": name_text(edge.partner),
        "mixed_with": name_text(edge.mixed_with) if edge.mixed_with else None,
        "seat": None if both else edge.seats[0],
        "shaping": edge.shapes is not None,
        "fixed": "fixed" in (objective.agents[edge.beneficiary], objective.agents[edge.partner]),
    }
