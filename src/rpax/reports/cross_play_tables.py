"""A cross-play as CSV, Markdown and LaTeX."""

import csv
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rpax.reports.heatmap import short_number

if TYPE_CHECKING:
    from rpax.evaluation.cross_play_result import CrossPlay

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
_MATHEMATICAL = {"−": "$-$", "–": "--", "ε": r"$\varepsilon$", "λ": r"$\lambda$", "α": r"$\alpha$", "β": r"$\beta$"}
_NOTHING = "–"


def as_csv(result: "CrossPlay") -> str:
    """One line for each cell: who, means and 95 % intervals of both seats, episodes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["seat_0", "seat_1", "group_0", "group_1", "return_0", "low_0", "high_0", "return_1", "low_1", "high_1"]
    writer.writerow([*columns, "episodes"])
    for (row, column), cell in sorted(result.cells.items()):
        both = (result.entrants[row], result.entrants[column])
        numbers = [number for seat in (0, 1) for number in (cell.mean[seat], *result.interval_of(row, column, seat))]
        names = [*(entrant.name for entrant in both), *(entrant.group for entrant in both)]
        writer.writerow([*names, *(f"{number:.6g}" for number in numbers), cell.episodes])
    return text.getvalue()


def metric_table(result: "CrossPlay") -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table of metrics, a line for each group."""
    head = ["", "agents", "seeds"]
    lines = []
    for group, metrics in result.metrics.items():
        lines.append([group, str(metrics.agents), str(metrics.seeds)])
        for name, estimate in metrics.shown().items():
            if len(lines) == 1:
                head.append(name)
            lines[-1].append(_NOTHING if estimate is None else number_and_interval(*estimate))
    return head, lines


def cell_table(result: "CrossPlay", seat: int) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table of one seat's mean returns; rows are seat 0, columns seat 1."""
    rows = zip(result.names, result.returns[..., seat].tolist(), strict=True)
    return ["", *result.names], [[name, *map(_cell, row)] for name, row in rows]


def seat_table(result: "CrossPlay") -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table of seats, a line for each agent."""
    lines = [
        [its["agent"], *(_NOTHING if its[seat] is None else short_number(its[seat]) for seat in ("seat_0", "seat_1"))]
        for its in result.per_seat
    ]
    return ["agent", "in seat 0", "in seat 1"], lines


def number_and_interval(mean: float, low: float, high: float) -> str:
    """``207 [201, 215]``; without an interval that is not known."""
    if not math.isfinite(mean):
        return _NOTHING
    interval = f" [{short_number(low)}, {short_number(high)}]" if math.isfinite(low) and math.isfinite(high) else ""
    return short_number(mean) + interval


def as_markdown(result: "CrossPlay") -> str:
    """The metrics of each group, and the mean returns of all cells."""
    parts = [
        f"# Cross-play in {result.environment}",
        f"{result.about}. {_EXPLAINED}",
        markdown_table(*metric_table(result)),
        "Mean return of seat 0; rows are seat 0, columns seat 1:",
        markdown_table(*cell_table(result, 0)),
    ]
    if not np.allclose(result.returns[..., 0], result.returns[..., 1], equal_nan=True):
        parts += ["Mean return of seat 1:", markdown_table(*cell_table(result, 1))]
    parts += [
        "Each agent's own return in either seat, with agents of its group from other seeds:",
        markdown_table(*seat_table(result)),
    ]
    return "\n\n".join(parts) + "\n"


def _cell(value: float) -> str:
    return _NOTHING if math.isnan(value) else short_number(value)


_EXPLAINED = (
    "Brackets hold 95 % intervals. *Different seeds*: agents of different training seeds only; seeds are what varies. "
    "*The paper's way*: all pairs of different agents, also of one seed, taken as independent, which makes intervals "
    "too narrow. IQM: the mean of the middle half."
)


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A table in Markdown, the first columns, of ``texts``, to the left and the others to the right."""
    rows = [head, [*["---"] * texts, *["---:"] * (len(head) - texts)], *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def as_latex(result: "CrossPlay") -> str:
    """The metrics of each group and each agent's return in either seat; the tables need the package booktabs."""
    about = (result.about, "Each agent's own return in either seat, with agents of its group from other seeds.")
    tables = zip(about, (metric_table(result), seat_table(result)), strict=True)
    return "\n".join(f"% {words}\n{_tabular(*table)}" for words, table in tables)


def _tabular(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The first column to the left and the others to the right."""
    rows = [" & ".join(map(_latex, row)) + r" \\" for row in (head, *lines)]
    start = f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}"
    return "\n".join([start, r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex(text: str) -> str:
    written = "".join(_SPECIAL.get(sign, sign) for sign in text)
    for sign, command in _MATHEMATICAL.items():
        written = written.replace(sign, command)
    return written
