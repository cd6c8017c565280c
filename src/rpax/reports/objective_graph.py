"""Objectives drawn in the manner of the paper's Figure 9: agents as boxes, edges as arrows with weights.

An arrow leaves the learner and points at whom it plays with (a manipulator's arrow: at whom the base agent that it
shapes plays with). Its label is the weight times the return that counts; blue raises that return and red lowers it.
"""

import pathlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rpax.objectives import Objective, ObjectiveEdge, Pairing, make_plan
from rpax.objectives.edges import BOTH_SEATS, Role
from rpax.reports.figure_style import (
    MUTED,
    NEGATIVE,
    POSITIVE,
    figure_style,
    new_figure,
    picture_path,
    plain,
    save_figure,
    text_size,
)
from rpax.reports.graph_layout import (
    BOX_HEIGHT,
    HEAD_LENGTH,
    LABEL_SIZE,
    NAME_SIZE,
    ROLE_SIZE,
    Arrow,
    Box,
    Spot,
    curve,
    grid_over,
    place_boxes,
    place_labels,
    route_arrows,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import RenderableType

_RATIONAL = "rational: every base agent maximises only its own return"
_NOT_RATIONAL = "may self-sabotage: a base agent is paid for more than its own return"

_HEAD_WIDTH = 0.13  # inches
_LEGEND_SIZE, _LEGEND_STEP = 9.0, 0.26  # points, inches
_ROLE_COLOURS: dict[Role, tuple[str, str]] = {
    "base": ("#E8F1FA", "#2B4C6F"),
    "manipulator": ("#F1E6F7", "#74458F"),
    "fixed": ("#FAFAFA", "#6A737D"),
}


def graph_text(objective: Objective) -> "RenderableType":
    """The objective for the terminal: agents with roles, each learner's edges, and the pairings to be rolled out.

    Returns:
        Something that ``rich.print`` shows in colour and a file receives as plain text.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    plan = make_plan(objective)
    rational = objective.preserves_rationality
    verdict = Text(_RATIONAL, style="green") if rational else Text(_NOT_RATIONAL, style="red")

    agents = Table.grid(padding=(0, 2))
    styles = {"base": "bold", "manipulator": "magenta", "fixed": "dim"}
    for name, role in objective.agents.items():
        about = f"shapes {objective.shaped_by(name)}" if role == "manipulator" else ""
        agents.add_row(Text(name, style=styles[role]), role, Text(about, style="dim"))

    edges = Table.grid(padding=(0, 2))
    for learner in (*objective.bases, *objective.manipulators):
        shaping = learner in objective.manipulators
        heading = f"{learner}, through the lookahead of {objective.shaped_by(learner)}" if shaping else learner
        edges.add_row(Text(heading, style="magenta" if shaping else "bold"))
        for edge in objective.edges_of(learner):
            edges.add_row(_edge_text(objective, edge), Text(_seats_text(edge), style="dim"))

    pairings = Table.grid(padding=(0, 2))
    base_update = "every lookahead step" if objective.manipulators else "every update"
    for title, ordered in ((base_update, plan.lookahead_pairings), ("the outer step", plan.outer_pairings)):
        if ordered:
            pairings.add_row(Text(f"{title}: {len(ordered)}", style="bold"))
        for first, partners in _by_first_seat(ordered).items():
            pairings.add_row(Text(f"  {first} with {', '.join(partners)}"))

    parts: list[RenderableType] = [Text(objective.name, style="bold underline"), verdict]
    headings = ("Agents", "Edges (learner: whose return, played by whom)", "Pairings (seat 0 with seat 1)")
    for heading, body in zip(headings, (agents, edges, pairings), strict=True):
        parts += [Text(), Text(heading, style="cyan"), Padding(body, (0, 0, 0, 2))]
    return Group(*parts)


def _edge_text(objective: Objective, edge: ObjectiveEdge) -> "RenderableType":
    from rich.text import Text

    colour = "blue" if edge.weight > 0 else "red"
    text = Text(f"  {edge.weight:+9.6g}", style=f"bold {colour}")
    text.append(f"  U_{edge.beneficiary}({edge.beneficiary}, {edge.partner})", style=colour)
    if edge.mixed_with:
        text.append(f"  mixed with {edge.mixed_with}", style=colour)
    if _involves_fixed(objective, edge):
        text.append("  fixed", style="dim")
    return text


def _seats_text(edge: ObjectiveEdge) -> str:
    return "both seats" if set(edge.seats) == set(BOTH_SEATS) else f"{edge.beneficiary} in seat {edge.seats[0]}"


def _by_first_seat(pairings: tuple[Pairing, ...]) -> dict[str, list[str]]:
    partners: dict[str, list[str]] = {}
    for pairing in pairings:
        mixed = f" (mixed with {pairing.mixed_with})" if pairing.mixed_with else ""
        partners.setdefault(pairing.seat_0, []).append(pairing.seat_1 + mixed)
    return partners


def _involves_fixed(objective: Objective, edge: ObjectiveEdge) -> bool:
    return "fixed" in (objective.agents[edge.beneficiary], objective.agents[edge.partner])


def draw_objective_graph(objective: Objective, path: str | pathlib.Path) -> None:
    """Write the objective's graph as a picture, PNG or SVG by the suffix of ``path``; equal objectives, equal bytes.

    Base agents and fixed agents stand in a row, each manipulator above the base agent that it shapes.

    Raises:
        InputError: another suffix, or a place that cannot be written to.
    """
    path = picture_path(path)
    with figure_style():
        boxes = place_boxes(objective)
        arrows = route_arrows(objective, boxes)
        labels = place_labels(arrows, boxes)
        save_figure(_draw(objective, boxes, arrows, labels), path)


class _Look(NamedTuple):
    """How a line is drawn."""

    colour: str
    dotted: bool = False
    banded: bool = False


def _look(objective: Objective, edge: ObjectiveEdge) -> _Look:
    return _Look(
        colour=POSITIVE if edge.weight > 0 else NEGATIVE,
        dotted=_involves_fixed(objective, edge),
        banded=edge.shapes is not None,
    )


def _legend(objective: Objective) -> list[tuple[_Look | None, str]]:
    """What the lines of this graph mean, a line of text each."""
    looks = [_look(objective, edge) for edge in objective.edges]
    lines: list[tuple[_Look | None, str]] = [(None, "an arrow leaves the learner and points at whom it plays with")]
    if any(look.colour == POSITIVE for look in looks):
        lines.append((_Look(POSITIVE), "raises the return U of the agent named"))
    if any(look.colour == NEGATIVE for look in looks):
        lines.append((_Look(NEGATIVE), "lowers the return U of the agent named"))
    if any(look.banded for look in looks):
        lines.append(
            (
                _Look(MUTED, banded=True),
                "a manipulator: it is the agent it shapes that plays with whom the arrow points at",
            )
        )
    if any(look.dotted for look in looks):
        lines.append((_Look(MUTED, dotted=True), "a fixed agent takes part"))
    if all(set(edge.seats) == set(BOTH_SEATS) for edge in objective.edges):
        lines.append((None, "every edge is played from both seats"))
    else:
        lines.append((None, "(seat k): played only with the agent whose return counts in seat k"))
    return lines


def _draw(objective: Objective, boxes: dict[str, Box], arrows: list[Arrow], labels: list[Spot]) -> "Figure":
    """The figure: boxes, arrows and labels in inches, the name above and what the lines mean below."""
    extents = [grid_over(spot, arrow.size) for spot, arrow in zip(labels, arrows, strict=True)]
    extents += [arrow.points for arrow in arrows]
    extents += [grid_over(_spot(box), (box.width, BOX_HEIGHT)) for box in boxes.values()]
    (left, bottom), (right, top) = np.concatenate(extents).min(axis=0), np.concatenate(extents).max(axis=0)
    verdict = _RATIONAL if objective.preserves_rationality else _NOT_RATIONAL
    legend = _legend(objective)
    texts = [text_size(text, _LEGEND_SIZE)[0] + 0.65 for _, text in legend] + [
        text_size(verdict, 10.0)[0],
        text_size(plain(objective.name), 16.0, "bold")[0],
    ]
    width = max(right - left, *texts) + 0.8
    above, below = 1.15, 0.5 + _LEGEND_STEP * len(legend)
    figure = new_figure(width, top - bottom + above + below)
    axes = figure.add_axes((0, 0, 1, 1))
    x0 = (left + right - width) / 2
    axes.set(xlim=(x0, x0 + width), ylim=(bottom - below, top + above))
    axes.set_axis_off()
    axes.text(x0 + 0.4, top + above - 0.47, objective.name, size=16, weight="bold", parse_math=False)
    colour = POSITIVE if objective.preserves_rationality else NEGATIVE
    axes.text(x0 + 0.4, top + above - 0.75, verdict, size=10, color=colour)
    for arrow in arrows:
        if arrow.edge is None:
            axes.plot(*arrow.points.T, color=_ROLE_COLOURS["manipulator"][0], linewidth=11, zorder=1)
        else:
            _draw_line(axes, arrow.points, _look(objective, arrow.edge))
    for arrow, spot in zip(arrows, labels, strict=True):
        _draw_label(axes, arrow, spot)
    for box in boxes.values():
        _draw_box(axes, box, f"shapes {objective.shaped_by(box.name)}" if box.role == "manipulator" else box.role)
    for number, (look, text) in enumerate(legend):
        y = bottom - 0.4 - _LEGEND_STEP * number
        if look is not None:
            _draw_line(axes, curve((x0 + 0.4, y), (x0 + 0.92, y)), look)
        axes.text(x0 + (0.4 if look is None else 1.05), y, text, size=_LEGEND_SIZE, color=MUTED, va="center")
    return figure


def _spot(box: Box) -> Spot:
    return Spot(box.x, box.y, 0.0, 0.0)


def _draw_line(axes: "Axes", points: np.ndarray, look: _Look) -> None:
    """A line that ends in an arrow head at the last point."""
    from matplotlib.patches import Polygon

    to_tip = np.linalg.norm(points - points[-1], axis=1)
    shaft = points[to_tip >= HEAD_LENGTH * 0.8]
    foot = points[to_tip >= HEAD_LENGTH][-1]
    along = (points[-1] - foot) / np.linalg.norm(points[-1] - foot)
    across = np.array([-along[1], along[0]]) * _HEAD_WIDTH / 2
    if look.banded:
        axes.plot(*shaft.T, color=look.colour, alpha=0.17, linewidth=8, solid_capstyle="butt", zorder=2)
    style = (0, (1.1, 1.5)) if look.dotted else "-"
    axes.plot(*shaft.T, color=look.colour, linewidth=1.8, linestyle=style, solid_capstyle="butt", zorder=3)
    axes.add_patch(Polygon([points[-1], foot + across, foot - across], facecolor=look.colour, linewidth=0, zorder=4))


def _draw_label(axes: "Axes", arrow: Arrow, spot: Spot) -> None:
    backing = {"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none"}
    colour = _ROLE_COLOURS["manipulator"][1]
    if arrow.edge is not None:
        colour = POSITIVE if arrow.edge.weight > 0 else NEGATIVE
    axes.text(
        spot.x,
        spot.y,
        arrow.text,
        size=LABEL_SIZE if arrow.edge else ROLE_SIZE,
        color=colour,
        rotation=spot.angle,
        rotation_mode="anchor",
        ha="center",
        va="center_baseline" if arrow.edge else "center",
        style="normal" if arrow.edge else "italic",
        bbox=backing if arrow.edge else None,
        zorder=6,
    )


def _draw_box(axes: "Axes", box: Box, about: str) -> None:
    """A rounded box for agents that are kept, one with cut corners for manipulators, a dotted one for fixed agents."""
    from matplotlib.patches import FancyBboxPatch, Polygon

    fill, line = _ROLE_COLOURS[box.role]
    look = {"facecolor": fill, "edgecolor": line, "linewidth": 1.5, "zorder": 7}
    half, high = box.width / 2, BOX_HEIGHT / 2
    if box.role == "manipulator":
        cut = 0.17
        corners = [
            (-half, 0),
            (-half + cut, high),
            (half - cut, high),
            (half, 0),
            (half - cut, -high),
            (-half + cut, -high),
        ]
        axes.add_patch(Polygon([(box.x + x, box.y + y) for x, y in corners], **look))
    else:
        style = (0, (1.2, 1.6)) if box.role == "fixed" else "-"
        corner = (box.x - half, box.y - high)
        rounded = "round,pad=0,rounding_size=0.12"
        axes.add_patch(FancyBboxPatch(corner, box.width, BOX_HEIGHT, boxstyle=rounded, linestyle=style, **look))
    axes.text(box.x, box.y + 0.1, box.name, size=NAME_SIZE, weight="bold", ha="center", va="center", zorder=8)
    axes.text(box.x, box.y - 0.15, about, size=ROLE_SIZE, color=MUTED, ha="center", va="center", zorder=8)
