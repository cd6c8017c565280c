"""Tables of a cross-play: every number where it belongs, in formats that others can read."""

import csv
import io

import pytest

from rpax.evaluation.cross_play import Cell
from rpax.evaluation.cross_play_result import CrossPlay, Named
from rpax.reports.cross_play_tables import as_csv, as_latex, as_markdown

#: Seat 0 gets 10 × its agent's number + its partner's, seat 1 ten times less.
RETURNS = {(row, column): (10.0 * row + column, row + column / 10) for row in range(3) for column in range(3)}


@pytest.fixture
def result():
    named = tuple(Named(f"run_{seed}:0:base & co", "AD|50 %", str(seed)) for seed in range(3))
    cells = {pair: Cell((*both, sum(both) / 2), (2.0, 4.0, 3.0), 25) for pair, both in RETURNS.items()}
    return CrossPlay("storm", named, cells, episodes=25, seed=0, greedy=True)


def test_csv_has_a_line_for_each_cell_with_both_seats(result):
    lines = list(csv.DictReader(io.StringIO(as_csv(result))))
    assert len(lines) == 9
    line = lines[5]
    assert (line["seat_0"], line["seat_1"]) == ("run_1:0:base & co", "run_2:0:base & co")
    assert [float(line[name]) for name in ("return_0", "return_1")] == [12.0, 1.2]
    # t with 24 degrees of freedom is 2.0639; σ / √25 is 0.4 and 0.8.
    assert float(line["high_0"]) - 12 == pytest.approx(2.0639 * 0.4, rel=1e-4)
    assert 1.2 - float(line["low_1"]) == pytest.approx(2.0639 * 0.8, rel=1e-4)


def test_markdown_has_a_table_of_each_seat_where_they_differ(result):
    text = as_markdown(result)
    assert "| run_1:0:base & co | 10.0 | 11.0 | 12.0 |" in text
    assert "| run_1:0:base & co | 1.00 | 1.10 | 1.20 |" in text
    # Its own return with the others': (10 + 12) / 2 in seat 0, (0.1 + 2.1) / 2 in seat 1.
    assert "| run_1:0:base & co | 11.0 | 1.10 |" in text
    assert "| AD\\|50 % | 3 | 3 |" in text


def test_latex_escapes_names_and_closes_what_it_opens(result):
    text = as_latex(result)
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == text.count(r"\midrule") == 2
    assert r"AD|50 \% & 3 & 3 & " in text
    assert r"run\_1:0:base \& co & 11.0 & 1.10 \\" in text
    for table in text.split(r"\begin{tabular}")[1:]:
        columns, body = table.split("\n", 1)
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert {row.replace(r"\&", "").count("&") + 1 for row in rows} == {len(columns.strip("{}"))}
