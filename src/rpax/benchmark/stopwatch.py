"""Timing compiled programs."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rpax.training.problem import TrainState

#: A repetition runs so many updates that it takes at least so long.
_LEAST_SECONDS = 0.2


def time_updates(advance: Callable[..., Any], state: TrainState, repetitions: int) -> list[float]:
    """Seconds per update of each repetition, after a warm-up that also chooses how many updates one takes."""
    state, _ = _timed(advance, state, 1)
    state, seconds = _timed(advance, state, 3)
    updates = max(1, round(_LEAST_SECONDS / seconds))
    times = []
    for _ in range(repetitions):
        state, seconds = _timed(advance, state, updates)
        times.append(seconds)
    return times


def host_overhead(advance: Callable[..., Any], state: Any, per_update: float, repetitions: int) -> float:
    """Seconds of an update that is a call of its own, less those of one among many in a call; at least 0.

    That is dispatch, and the report that ends a call. Of updates that take much longer it is lost in the noise.
    """
    updates = max(2, round(_LEAST_SECONDS / per_update))
    differences = []
    for _ in range(repetitions):
        # One right after the other, so that both meet the machine in the same mood.
        state, alone = _timed(advance, state, 1, calls=updates)
        state, among_many = _timed(advance, state, updates)
        differences.append(alone - among_many)
    return max(0.0, statistics.median(differences))


def _timed(advance: Callable[..., Any], state: Any, updates: int, calls: int = 1) -> tuple[Any, float]:
    """The state after ``calls`` calls of ``updates`` updates each, and the seconds that one update took."""
    start = time.perf_counter()
    for _ in range(calls):
        state, _ = jax.block_until_ready(advance(state, jnp.asarray(updates, jnp.int32)))
    return state, (time.perf_counter() - start) / (updates * calls)


def time_call(function: Callable[..., Any], arguments: tuple[Any, ...], repetitions: int) -> float:
    """Median seconds of one call, after a warm-up."""
    jax.block_until_ready(function(*arguments))
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    calls = max(1, round(0.1 / max(1e-6, time.perf_counter() - start)))
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        jax.block_until_ready([function(*arguments) for _ in range(calls)])
        times.append((time.perf_counter() - start) / calls)
    return statistics.median(times)
