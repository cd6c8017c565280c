"""A clock that jumps neither ends checkpoints nor makes a time limit endless."""

import threading
from typing import Any

import jax
import pytest

import rpax
from rpax.runs.config import TrainConfig
from rpax.runs.interruption import _Watch
from rpax.runs.loop import Loop, Stopwatch
from rpax.training.problem import TrainState
from rpax.training.setup import make_problem
from rpax.training.trainer import Trainer


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    config = TrainConfig("sp", "matrix/figure-2", exact=True).complete()
    return Trainer(make_problem(config, rpax.algorithm("sp"), rpax.make("matrix/figure-2")), (0,), True, "float64")


def loop(trainer: Trainer, times: list[float], **settings: Any) -> tuple[str, list[int]]:
    """How a loop ends whose clock reads these times, and the updates it saved; a chunk is one update."""
    saved: list[int] = []
    reading = iter(times)
    made = Loop(
        trainer=trainer,
        state=trainer.init(),
        update=0,
        until=len(times) - 1,
        log_every=1,
        sinks=[],
        checkpoint=lambda state, update: saved.append(update),
        clock=lambda: next(reading),
        **settings,
    )
    with jax.enable_x64(True):
        return made.run(), saved


def test_checkpoints_go_on_after_the_clock_is_put_back(trainer):
    # A minute a chunk; before the fifth the clock is put back by a day. Its minute is lost, no more.
    times = [0.0, 60, 120, 180, 240, *(60.0 * number - 86400 for number in range(5, 11))]
    reason, saved = loop(trainer, times, checkpoint_minutes=2)
    assert reason == "finished"
    assert saved == [0, 2, 4, 7, 9, 10]


def test_a_clock_that_is_put_forward_makes_one_checkpoint_early(trainer):
    times = [0.0, 60, 86400, 86460, 86520, 86580]
    assert loop(trainer, times, checkpoint_minutes=2) == ("finished", [0, 2, 4, 5])


def test_a_time_limit_holds_although_the_clock_is_put_back(trainer):
    times = [0.0, 60, 120, -86400, -86340, -86280, -86220, -86160]
    reason, saved = loop(trainer, times, minutes=4, checkpoint_minutes=100)
    assert (reason, saved) == ("out of time", [0, 5])


def test_from_the_first_update_to_the_last_checkpoint_a_signal_asks_first(trainer, monkeypatch):
    """So that policies are written: also between a checkpoint and the next chunk."""
    monkeypatch.setattr(_Watch, "thread", threading.current_thread())
    asked = []

    def between(state: TrainState, update: int) -> TrainState:
        assert _Watch.loop is not None
        asked.append((update, _Watch.loop.unsaved))
        return state

    reason, saved = loop(trainer, [0.0, 60, 120, 180], checkpoint_minutes=0.5, between=between)
    assert (reason, saved[:3]) == ("finished", [0, 1, 2])
    assert asked == [(0, False), (1, True), (2, True)]
    assert _Watch.loop is None


def test_a_stopwatch_counts_what_passes_only():
    times = iter([10.0, 12.0, 5.0, 6.0])
    watch = Stopwatch(lambda: next(times))
    watch.read()
    watch.lap()
    watch.read()
    watch.read()
    assert (watch.total, watch.since_lap) == (3.0, 1.0)
