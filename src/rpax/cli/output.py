"""What commands share: progress on stderr, tables for people, JSON for programs."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from rpax.evaluation.matches import Estimate
    from rpax.evaluation.results import AgentResult, PairingResult, SeedResult
    from rpax.runs.run import Run

_COLUMNS = ("agent", "role", "seat", "policy", "rationality gap")
#: When progress is told first, and how often from then on, where no bar can move; in seconds.
_FIRST_LINE, _BETWEEN_LINES = 10.0, 60.0
#: Stands in a table's cell where there is nothing to say.
_NOTHING = "–"


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    json.dump(document, sys.stdout, indent=1)
    sys.stdout.write("\n")


def say(text: str, *, quiet: bool = False) -> None:
    """A line on stderr, if anybody reads it: a closed pipe or a lost terminal ends nothing."""
    if not quiet:
        # ValueError where it was closed in this process.
        with contextlib.suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)


class Unheard:
    """Writes on to another file as long as that works, then nowhere.

    Args:
        file: the other one.

    Attributes:
        error: why it no longer works, or ``None``.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: OSError | ValueError | None = None

    def write(self, text: str) -> int:
        """Write, or do not."""
        self._try(lambda: self._file.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, or do not."""
        self._try(self._file.flush)

    def _try(self, act: Callable[[], object]) -> None:
        if self.error is None:
            try:
                act()
            except (OSError, ValueError) as error:
                self.error = error

    def __getattr__(self, name: str) -> Any:
        """All else is the other one's."""
        return getattr(self._file, name)


@contextlib.contextmanager
def progress_bar(
    description: str, *, quiet: bool, first: str = "compiling"
) -> Iterator[Callable[[int, int, Sequence[Any]], None]]:
    """A progress bar on stderr, as the callback that ``rpax.train`` takes; where no terminal shows it, now and then a
    line; nothing when quiet. ``first`` is what happens before it is called.
    """
    if quiet:
        yield lambda update, until, rows: None
        return
    if not sys.stderr.isatty():
        yield progress_lines(description)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(
        *columns,
        TextColumn("{task.fields[latest]}"),
        console=Console(file=cast("IO[str]", Unheard(sys.stderr))),
        transient=True,
    ) as bar:
        task = bar.add_task(f"{description}: {first}", total=None, latest="")
        started = time.monotonic()

        def show(update: int, until: int, rows: Sequence[Any]) -> None:
            bar.update(task, description=description, completed=update, total=until, latest=latest_returns(rows))

        yield show
        bar.update(task, description=f"{description}: {time.monotonic() - started:.1f} s")


def progress_lines(
    description: str, clock: Callable[[], float] = time.monotonic
) -> Callable[[int, int, Sequence[Any]], None]:
    """The callback that ``rpax.train`` takes, which writes a line on stderr after ten seconds and then every minute."""
    started, due = clock(), _FIRST_LINE

    def show(update: int, until: int, rows: Sequence[Any]) -> None:
        nonlocal due
        passed = clock() - started
        if passed >= due:
            due = passed + _BETWEEN_LINES
            say(f"{description}: {update}/{until} after {passed:.0f} s  {latest_returns(rows)}".rstrip())

    return show


def latest_returns(rows: Sequence[Any]) -> str:
    """The first seed's latest returns of seat 0, a few pairings."""
    if not rows:
        return ""
    returns = rows[0].get("returns") or rows[0].get("lookahead_episode_return") or {}
    shown = [f"{pairing} {value[0]:.2f}" for pairing, value in returns.items() if value]
    return "  ".join(shown[:3])


def print_run(run: "Run") -> None:
    """A run's results as tables, without the columns that say nothing."""
    from rich.console import Console
    from rich.table import Table

    from rpax.objectives.plan import make_plan

    console, plan = Console(), make_plan(run.objective)
    seats = {name: plan.seats_of(name) for name in run.objective.agents}
    for result in run.results:
        # Not the table's title, which would wrap at its width.
        title = f"{run.objective.name} on {run.config.environment}, seed {result.seed}"
        console.print(title, style="italic", highlight=False, soft_wrap=True)
        table = Table()
        cells_of = zip(*agent_rows(result, seats), strict=True)
        columns = [(name, cells) for name, cells in zip(_COLUMNS, cells_of, strict=True) if {*cells} != {_NOTHING}]
        for name, _ in columns:
            table.add_column(name)
        for row in zip(*(cells for _, cells in columns), strict=True):
            table.add_row(*row)
        console.print(table)
        for pairing in result.pairings:
            told = f"  {pairing.seat_0} vs {pairing.seat_1}: returns {returns_text(pairing)}"
            console.print(told, highlight=False, soft_wrap=True)
        for note in result.diagnosis.notes:
            console.print(f"  {note}", style="yellow")
    if run.path is not None:
        where = "" if run.stage is None else f" in stage {run.stage}"
        console.print(
            f"{run.status}{where} at update {run.update}; written to {run.path}", highlight=False, soft_wrap=True
        )


def agent_rows(result: "SeedResult", seats: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, role, seat, policy and gap, a row for each agent and seat that has a policy or a gap to show.

    Other agents have one row.

    Args:
        result: what came out.
        seats: those that each agent plays.
    """
    for name, agent in result.agents.items():
        told = [*(agent.policy or agent.rationality_gap)]
        if not told:
            plays = "both" if len(seats[name]) == 2 else ", ".join(map(str, seats[name]))
            yield name, agent.role, plays or _NOTHING, _NOTHING, _NOTHING
        for seat in told:
            yield name, agent.role, str(seat), *_policy_and_gap(agent, seat)


def _policy_and_gap(agent: "AgentResult", seat: int) -> tuple[str, str]:
    policy = " ".join(f"{p:.3f}" for p in agent.policy[seat]) if agent.policy else _NOTHING
    gap = agent.rationality_gap.get(seat)
    return policy, _NOTHING if gap is None else repr(gap)


def estimate_text(value: "Estimate") -> str:
    """A number, with half the width of its confidence interval where it is not exact."""
    return f"{value.mean:.4g}" + (f" ± {value.half_width:.3g}" if value.half_width else "")


def returns_text(pairing: "PairingResult") -> str:
    """The returns of a pairing and how sure they are: once where they read the same for both seats, else for each."""
    first, second = (
        f"{value:.4g}" + (f" ± {half:.3g}" if pairing.episodes else "")
        for value, half in zip(pairing.returns, pairing.half_width, strict=True)
    )
    return first if first == second else f"seat 0: {first}, seat 1: {second}"
