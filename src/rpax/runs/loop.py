"""The training loop around the compiled chunks: metrics, checkpoints, time limit, interruption, guards."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np

from rpax.environments.tabular_game import TabularGame
from rpax.errors import InputError, NonFiniteError
from rpax.objectives.plan import Pairing, distinct
from rpax.policies.external import asking
from rpax.runs.failure import check_finite
from rpax.runs.interruption import Interruption, interruptions
from rpax.runs.sinks import Row, Sink
from rpax.runs.writing import Unwritable
from rpax.training.problem import Problem, TrainState
from rpax.training.trainer import Report, Trainer

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


class Stopwatch:
    """The time that passes on a clock; where it is put back, nothing passes, so that no interval becomes endless.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._last = clock, clock()
        self.total = self.since_lap = 0.0

    def read(self) -> None:
        """Add what has passed since it was last read to ``total`` and ``since_lap``."""
        now = self._clock()
        passed, self._last = max(now - self._last, 0.0), now
        self.total += passed
        self.since_lap += passed

    def lap(self) -> None:
        """Begin a new interval."""
        self.since_lap = 0.0


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
        ends: other updates at which there is a line of metrics, as the run was to end there before it was extended.
        minutes: time limit, or ``None``.
        on_progress: called with the update and the latest rows, for a progress bar.
        clock: seconds, injectable for tests.
        between: called before each chunk with the state and the update; gives the state to go on from.
        warn: called with the latest rows, to tell of failures in the making.
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
    ends: Sequence[int] = ()
    minutes: float | None = None
    on_progress: Callable[[int, Sequence[Row]], None] = lambda update, rows: None
    clock: Callable[[], float] = time.monotonic
    between: Between | None = None
    warn: Callable[[Sequence[Row]], None] = lambda rows: None
    history: ThinnedRows = dataclasses.field(init=False)
    #: Whether the state is that of ``update``, finite, and its lines of metrics are written.
    _is_whole: bool = dataclasses.field(default=False, init=False)

    def __post_init__(self) -> None:
        self.history = ThinnedRows(self.log_every)

    def run(self) -> Reason:
        """Train until done, out of time or interrupted; the state is then saved.

        It is saved as well where something fails that has nothing to do with it, like ``on_progress``.

        Raises:
            NonFiniteError: some agent's parameters or gradients, or the critics' loss, are not finite.
        """
        with interruptions() as interrupted:
            try:
                return self._run(interrupted)
            except (NonFiniteError, Unwritable, KeyboardInterrupt):
                raise
            except BaseException:
                # What failed is told, not what comes of it.
                with contextlib.suppress(InputError, OSError):
                    if self._is_whole:
                        self._keep_snapshot()
                        self._save()
                raise

    def _run(self, interrupted: Interruption) -> Reason:
        out_of_time, time_passes = False, Stopwatch(self.clock)
        # Of a run that is extended, that of the end before, which was none then.
        self._keep_snapshot()
        if self.update == 0:
            self._save()
        if self.update < self.until:
            self._prepare()
        while self.update < self.until and not interrupted.is_set() and not out_of_time:
            self._one_chunk(interrupted)
            # Before any checkpoint, which so says that all snapshots up to it are there.
            self._keep_snapshot()
            time_passes.read()
            out_of_time = self.minutes is not None and time_passes.total >= 60 * self.minutes
            if time_passes.since_lap >= 60 * self.checkpoint_minutes:
                self._save()
                time_passes.lap()
        self._save()
        interrupted.unsaved = False
        if interrupted.is_set():
            return "interrupted"
        return "out of time" if self.update < self.until else "finished"

    def _prepare(self) -> None:
        """Compile, while there is nothing to lose yet."""
        with asking():
            jax.block_until_ready(self.trainer.report(self.state))

    def _one_chunk(self, interrupted: Interruption) -> None:
        if self.between is not None:
            self.state = self.between(self.state, self.update)
        # Until training ends: also between a checkpoint and the next chunk, as policies are written after it only.
        interrupted.unsaved = self.checkpoint is not None
        next_line = (self.update // self.log_every + 1) * self.log_every
        due = (update for update in (*self.snapshots, *self.ends) if update > self.update)
        following = min(self.until, next_line, *due)
        self._is_whole = False
        with asking():
            self.state, report = self.trainer.advance(self.state, following - self.update)
            report = jax.device_get(report)
        check_finite(self.state, report, self.trainer.seeds, (self.update + 1, following))
        self.update = following
        rows = [
            metrics_row(self.trainer.problem, report, i, seed, following) for i, seed in enumerate(self.trainer.seeds)
        ]
        self.history.add(rows)
        for number, sink in enumerate(self.sinks):
            # The first one keeps what a checkpoint counts on.
            self._is_whole = number > 0
            for row in rows:
                sink.write(row)
        self._is_whole = True
        self.warn(rows)
        self.on_progress(self.update, rows)

    def _keep_snapshot(self) -> None:
        if self.snapshot is not None and self.update in self.snapshots:
            self.snapshot(self.state, self.update)

    def _save(self) -> None:
        if self.checkpoint is not None:
            self.checkpoint(self.state, self.update)


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
    if report.skipped is not None:
        row["skipped"] = int(report.skipped[index])
    return row


def pairing_name(pairing: tuple[str, str] | Pairing) -> str:
    """How a pairing is called in metrics and plots."""
    name = f"{pairing[0]} vs {pairing[1]}"
    mixed = pairing.mixed_with if isinstance(pairing, Pairing) else None
    return name if mixed is None else f"{name} mixed with {mixed}"
