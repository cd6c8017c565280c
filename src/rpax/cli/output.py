"""What commands share: progress on stderr, tables for people, JSON for programs."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rpax.evaluation.results import SeedResult
    from rpax.runs.run import Run


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    json.dump(document, sys.stdout, indent=1)
    sys.stdout.write("\n")


def say(text: str, *, quiet: bool = False) -> None:
    """A line on stderr."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress_bar(description: str, *, quiet: bool) -> Iterator[Callable[[int, int, Sequence[Any]], None]]:
    """A progress bar on stderr, as the callback that ``rpax.train`` takes; nothing when quiet."""
    if quiet:
        yield lambda update, until, rows: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, TextColumn("{task.fields[latest]}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{description}: compiling", total=None, latest="")
        started = time.monotonic()

        def show(update: int, until: int, rows: Sequence[Any]) -> None:
            bar.update(task, description=description, completed=update, total=until, latest=latest_returns(rows))

        yield show
        bar.update(task, description=f"{description}: {time.monotonic() - started:.1f} s")


def latest_returns(rows: Sequence[Any]) -> str:
    """The first seed's latest returns of seat 0, a few pairings."""
    returns = rows[0].get("returns") or rows[0].get("lookahead_episode_return") or {}
    shown = [f"{pairing} {value[0]:.2f}" for pairing, value in returns.items() if value]
    return "  ".join(shown[:3])


def print_run(run: "Run") -> None:
    """A run's results as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for result in run.results:
        table = Table(
            title=f"{run.objective.name} on {run.config.environment}, seed {result.seed}", title_justify="left"
        )
        for column in ("agent", "role", "seat", "policy", "rationality gap"):
            table.add_column(column)
        for row in agent_rows(result):
            table.add_row(*row)
        console.print(table)
        for pairing in result.pairings:
            spread = f" ± {pairing.half_width[0]:.3g}, {pairing.half_width[1]:.3g}" if pairing.episodes else ""
            values = ", ".join(f"{value:.4g}" for value in pairing.returns)
            console.print(f"  {pairing.seat_0} vs {pairing.seat_1}: returns {values}{spread}", highlight=False)
        for note in result.diagnosis.notes:
            console.print(f"  {note}", style="yellow")
    if run.path is not None:
        console.print(f"{run.status} at update {run.update}; written to {run.path}", highlight=False, soft_wrap=True)


def agent_rows(result: "SeedResult") -> Iterator[tuple[str, str, str, str, str]]:
    """One row for each agent and seat: name, role, seat, policy, gap."""
    for name, agent in result.agents.items():
        seats = [*(agent.policy or agent.rationality_gap)]
        if not seats:
            yield name, agent.role, "–", "–", "–"
        for seat in seats:
            policy = " ".join(f"{p:.3f}" for p in agent.policy[seat]) if agent.policy else "–"
            gap = agent.rationality_gap.get(seat)
            yield name, agent.role, str(seat), policy, "–" if gap is None else repr(gap)
