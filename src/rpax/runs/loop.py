"""The training loop around the compiled chunks: metrics, checkpoints, time limit, interruption, guards."""

import contextlib
import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import jax
import numpy as np

from rpax.environments.tabular_game import TabularGame
from rpax.errors import NonFiniteError
from rpax.objectives.plan import Pairing, distinct
from rpax.policies.external import asking
from rpax.runs.sinks import Row, Sink
from rpax.training.problem import Problem, TrainState
from rpax.training.trainer import Report, Trainer, learners_not_finite

Reason = Literal["finished", "out of time", "interrupted"]
_MOST_KEPT = 1000
#: From a state and its update to the state with which training goes on.
Between = Callable[[TrainState, int], TrainState]


class ThinnedRows:
    """Rows in memory, at most ``most`` per seed: when full, every other update is dropped and the stride doubles."""

    def __init__(self, log_every: int, most: int = _MOST_KEPT) -> None:
        self.rows: list[dict[str, Any]] = []
        self._stride, self._most = log_every, most

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add the rows of one update, one a seed."""
        if rows[0]["update"] % self._stride:
            return
        self.rows += rows
        if len(self.rows) > self._most * len(rows):
            self._stride *= 2
            self.rows = [row for row in self.rows if row["update"] % self._stride == 0]


@dataclasses.dataclass
class Loop:
    """One training run in progress.

    Attributes:
        trainer: makes the updates.
        state: all that the future depends on.
        update: updates made so far.
        until: the update at which the run is finished.
        log_every: updates between two lines of metrics.
        sinks: where lines of metrics go.
        checkpoint: saves a state at an update; ``None`` to keep nothing.
        checkpoint_minutes: between two checkpoints.
        snapshot: keeps the policies of a state at an update; ``None`` to keep none.
        snapshots: at which updates, ascending.
        minutes: time limit, or ``None``.
        on_progress: called with the update and the latest rows, for a progress bar.
        clock: seconds, injectable for tests.
        between: called before each chunk with the state and the update; gives the state to go on from.
    """

    trainer: Trainer
    state: TrainState
    update: int
    until: int
    log_every: int
    sinks: Sequence[Sink]
    checkpoint: Callable[[TrainState, int], object] | None = None
    checkpoint_minutes: float = 5.0
    snapshot: Callable[[TrainState, int], object] | None = None
    snapshots: Sequence[int] = ()
    minutes: float | None = None
    on_progress: Callable[[int, Sequence[Row]], None] = lambda update, rows: None
    clock: Callable[[], float] = time.monotonic
    between: Between | None = None
    history: ThinnedRows = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.history = ThinnedRows(self.log_every)

    def run(self) -> Reason:
        """Train until done, out of time or interrupted; the state is then saved.

        Raises:
            NonFiniteError: some agent's parameters or gradients are not finite.
        """
        start = saved = self.clock()
        reason: Reason = "finished"
        with interruptions() as interrupted:
            if self.update == 0:
                self._keep_snapshot()
                self._save()
            while self.update < self.until:
                self._one_chunk()
                # Before any checkpoint, which so says that all snapshots up to it are there.
                self._keep_snapshot()
                now = self.clock()
                if interrupted.is_set():
                    reason = "interrupted"
                    break
                if self.minutes is not None and now - start >= 60 * self.minutes and self.update < self.until:
                    reason = "out of time"
                    break
                if now - saved >= 60 * self.checkpoint_minutes:
                    self._save()
                    saved = now
            self._save()
        return reason

    def _one_chunk(self) -> None:
        if self.between is not None:
            self.state = self.between(self.state, self.update)
        next_line = (self.update // self.log_every + 1) * self.log_every
        following = min(self.until, next_line, *(update for update in self.snapshots if update > self.update))
        with asking():
            self.state, report = self.trainer.advance(self.state, following - self.update)
            report = jax.device_get(report)
        broken = learners_not_finite(report, self.trainer.seeds)
        if broken:
            agents = ", ".join(f"{name} (seed {seed})" for name, seed in broken)
            raise NonFiniteError(
                f"parameters or gradients of {agents} are not finite after updates {self.update + 1} to {following}; "
                "lower the learning rates or add a gradient limit, and see that rewards and observations are finite"
            )
        self.update = following
        rows = [
            metrics_row(self.trainer.problem, report, i, seed, following) for i, seed in enumerate(self.trainer.seeds)
        ]
        self.history.add(rows)
        for row in rows:
            for sink in self.sinks:
                sink.write(row)
        self.on_progress(self.update, rows)

    def _keep_snapshot(self) -> None:
        if self.snapshot is not None and self.update in self.snapshots:
            self.snapshot(self.state, self.update)

    def _save(self) -> None:
        if self.checkpoint is not None:
            self.checkpoint(self.state, self.update)


@contextlib.contextmanager
def interruptions() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets, so that the loop can end between two chunks.

    A second signal does what it would have done without this.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def handle(number: int, frame: object) -> None:
        if event.is_set():
            signal.signal(number, before[number])
            signal.raise_signal(number)
        event.set()
        # Nobody may be reading any more.
        with contextlib.suppress(OSError):
            os.write(2, b"rpax: stopping after the updates in progress; once more to stop without saving them\n")

    before: dict[int, Any] = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def metrics_row(problem: Problem, report: Report, index: int, seed: int, update: int) -> dict[str, Any]:
    """One seed's line of metrics as plain data. Means are over the updates since the last line."""
    metrics = jax.tree.map(lambda leaf: np.asarray(leaf[index]).tolist(), report.metrics)
    row: dict[str, Any] = {"update": update, "seed": seed}
    plan = problem.plan
    if report.returns is not None:
        returns = np.asarray(report.returns)[index].tolist()
        row["returns"] = {pairing_name(p): r for p, r in zip(plan.reported_pairings, returns, strict=True)}
    game = problem.environment
    if isinstance(game, TabularGame) and game.is_normal_form:
        # In the objective's order: dictionaries that pass through a compiled program come back sorted.
        row["policies"] = {
            name: {str(seat): np.asarray(table)[index, 0].tolist() for seat, table in report.policies[name].items()}
            for name in plan.objective.agents
            if name in report.policies
        }
    pairings = {"lookahead": distinct(plan.lookahead_pairings), "outer": distinct(plan.outer_pairings)}
    for group, episodes in metrics.episodes.items():
        sums = metrics.episode_return_sum[group]
        row[f"{group}_episode_return"] = {
            pairing_name(p): [float(s) / n for s in both] if n else None
            for p, both, n in zip(pairings[group], sums, episodes, strict=True)
        }
    for name in ("entropy", "base_gradient_norm", "manipulator_gradient_norm", "influence"):
        row[name] = getattr(metrics, name)
    if metrics.clipped:
        row["clipped"] = metrics.clipped
    if metrics.episodes:
        row["critic_loss"] = metrics.critic_loss
    return row


def pairing_name(pairing: tuple[str, str] | Pairing) -> str:
    """How a pairing is called in metrics and plots."""
    name = f"{pairing[0]} vs {pairing[1]}"
    mixed = pairing.mixed_with if isinstance(pairing, Pairing) else None
    return name if mixed is None else f"{name} mixed with {mixed}"
