"""What `rpax reproduce` does for deep experiments: cell by cell, then published beside measured."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rpax.cli.output import latest_returns, print_json, progress_lines, say
from rpax.errors import InputError, shown, suggestion
from rpax.reproduce import DEEP_EXPERIMENTS
from rpax.runs.writing import write_text, writing_out
from rpax.untrusted import read_json

if TYPE_CHECKING:
    from rpax.reproduce.deep_runner import StudyResult
    from rpax.reproduce.study import Budget, DeepExperiment

_MISSING = "–"


@dataclasses.dataclass(frozen=True)
class Part:
    """The part of an experiment that is made.

    Attributes:
        cases: which; the budget's, if there are none.
        populations: by their labels; all, if there are none.
        make: what is missing; else nothing.
    """

    cases: Sequence[str]
    populations: Sequence[str]
    make: bool


@dataclasses.dataclass(frozen=True)
class Output:
    """How a reproduction tells what it does.

    Attributes:
        json: one document on stdout instead of tables.
        quiet: no progress.
    """

    json: bool
    quiet: bool


def reproduce(name: str, budget: "Budget", part: Part, out: pathlib.Path | None, output: Output) -> int:
    """Make the cells that are missing, print the table and write what `rpax reproduce` writes."""
    experiment = find_deep_experiment(name)
    cases = [study.case for study in experiment.studies]
    labels = [population.label for study in experiment.studies for population in study.populations]
    for what, asked, known in (("case", part.cases, cases), ("population", part.populations, labels)):
        for each in asked:
            if each not in known:
                raise InputError(
                    f"experiment '{name}' has no {what} '{each}'; {suggestion(each, dict.fromkeys(known))}"
                )
    folder = out or pathlib.Path("runs") / f"reproduce-{name}-{budget}"
    _check_budget(folder, name, budget, make=part.make)
    say(f"cells go to {folder}; a second call goes on from there", quiet=output.quiet or not part.make)
    from rpax.reports.study_pictures import draw_study
    from rpax.reproduce.cells import write_cell
    from rpax.reproduce.deep_runner import run_study

    results = []
    with _Shown(quiet=output.quiet) as show:
        for study in experiment.chosen(budget, part.cases):
            place = folder / study.case
            results.append(run_study(study, budget, place, show, make=part.make, labels=part.populations))
            if part.make:
                draw_study(results[-1], place)
                write_cell(place / "results.json", {"budget": budget, **results[-1].to_dict()})
    document = {"experiment": name, "budget": budget, "cases": [result.to_dict() for result in results]}
    if output.json:
        print_json(document)
    else:
        for result in results:
            print_study(name, result)
    return 0


def find_deep_experiment(name: str) -> "DeepExperiment":
    """The experiment behind a name."""
    import importlib

    module, _, variable = DEEP_EXPERIMENTS[name][1].partition(":")
    return getattr(importlib.import_module(f"rpax.reproduce.{module}"), variable)


def _check_budget(folder: pathlib.Path, name: str, budget: str, *, make: bool) -> None:
    """A folder belongs to one experiment and one budget.

    Raises:
        InputError: it holds something else, or cannot be written.
    """
    about, path = {"experiment": name, "budget": budget}, folder / "experiment.json"
    try:
        if path.is_file():
            known = read_json(path, "choose another --out")
            if known != about:
                holds = " with budget ".join(shown(known[name]).strip("'") for name in about)
                raise InputError(f"{folder} holds {holds}; choose another")
        elif not make:
            raise InputError(f"{folder} holds no reproduction; give the --out of one, or leave --show out")
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists and is no reproduction; choose another --out")
        else:
            with writing_out(folder, str(folder)):
                folder.mkdir(parents=True, exist_ok=True)
                write_text(path, json.dumps(about) + "\n")
    except (OSError, ValueError, LookupError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder} cannot be used ({error}); choose another --out") from None


class _Shown:
    """Progress of many cells: a bar on a terminal, lines elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._title = quiet, ""
        self._lines: Any = None
        self._bar: Any = None

    def __enter__(self) -> "_Shown":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        if not self._quiet and console.is_terminal:
            columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
            self._bar = Progress(*columns, TextColumn("{task.fields[latest]}"), console=console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("starting", total=None, latest="")
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, title: str, update: int, until: int, rows: Sequence[Any]) -> None:
        """Show how far a cell is."""
        if self._bar is not None:
            if title != self._title:
                self._bar.reset(self._task)
            latest = latest_returns(rows)
            self._bar.update(self._task, description=title, completed=update, total=until, latest=latest)
        elif not self._quiet:
            if title != self._title:
                say(title)
                self._lines = progress_lines(title)
            self._lines(update, until, rows)
        self._title = title


def print_study(name: str, result: "StudyResult") -> None:
    """Published beside measured, then what became of each claim."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    table = Table(title=f"{name}, {result.study.case}, budget {result.budget}", title_justify="left")
    for column in ("", "quantity", "published", "measured [95 % interval]"):
        table.add_column(column, overflow="fold")
    last = None
    for row in result.rows:
        if last not in (None, row.label):
            table.add_section()
        measured = _MISSING if row.measured is None else str(row.measured)
        table.add_row(row.label if row.label != last else "", row.quantity, row.published or _MISSING, measured)
        last = row.label
    console.print(table)
    for finding in result.findings:
        verdict = {None: "not measured yet", True: "holds", False: "does not hold"}[finding.holds]
        evidence = "" if finding.holds is None else f" — {finding.evidence}"
        console.print(f"  {verdict}: {finding.claim}{evidence}", highlight=False, soft_wrap=True)
