"""Windows of time against what they promise, with invented times."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from rpax.web.windows import Windows

LENGTH = 0.125  # exact in binary, so that sums are


def run(presses: list[tuple[float, int]], until: float, every: float | None = None) -> list[tuple[float, int | None]]:
    """The steps that are made, with when, if the windows are polled when they ask for it and with every key."""
    windows, steps, pending = Windows(LENGTH, 0.0), [], sorted(presses)
    now = 0.0
    while now < until:
        while pending and pending[0][0] <= now:
            windows.press(pending.pop(0)[1])
        while (step := windows.poll(now)) is not None:
            steps.append((now, step[0]))
        due = windows.due
        assert due > now, "what was due has been made"
        now = min(due, pending[0][0]) if pending else due
    return steps


def test_windows_without_keys_end_with_a_step_without_an_action() -> None:
    assert run([], 4.5 * LENGTH) == [(LENGTH * n, None) for n in (1, 2, 3, 4)]


def test_a_key_makes_its_windows_step_at_once() -> None:
    assert run([(1.5 * LENGTH, 7)], 3.5 * LENGTH) == [(LENGTH, None), (1.5 * LENGTH, 7), (3 * LENGTH, None)]


def test_a_second_key_waits_for_the_next_window_and_the_last_one_wins() -> None:
    presses = [(0.25 * LENGTH, 1), (0.5 * LENGTH, 2), (0.75 * LENGTH, 3)]
    assert run(presses, 2.5 * LENGTH) == [(0.25 * LENGTH, 1), (LENGTH, 3)]


def test_keys_that_are_held_make_a_step_each_window() -> None:
    presses = [(0.01 * n, 5) for n in range(1, 100)]
    times = [time for time, action in run(presses, 1.0) if action == 5]
    assert [round(b - a, 9) for a, b in itertools.pairwise(times[1:])] == [LENGTH] * (len(times) - 2)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 5)), max_size=60))
def test_there_is_one_step_in_each_window(presses: list[tuple[float, int]]) -> None:
    steps = run(presses, 6.0)
    assert all(LENGTH * n <= time <= LENGTH * (n + 1) for n, (time, _) in enumerate(steps))
    assert 6.0 / LENGTH - 1 <= len(steps) <= 6.0 / LENGTH + 1


@given(st.lists(st.floats(0.001, 3), min_size=1, max_size=20))
def test_keys_further_apart_than_a_window_all_make_their_step_at_once(gaps: list[float]) -> None:
    times = [sum(LENGTH + gap for gap in gaps[: n + 1]) for n in range(len(gaps))]
    made = [time for time, action in run([(time, 4) for time in times], times[-1] + 1) if action == 4]
    assert made == times


def test_missed_windows_are_left_out() -> None:
    windows = Windows(LENGTH, 0.0)
    assert windows.poll(100 * LENGTH) == (None,)
    assert windows.poll(100 * LENGTH) is None
    assert windows.due == 101 * LENGTH
    windows.press(3)
    assert windows.poll(100.5 * LENGTH) == (3,)
    assert windows.poll(900 * LENGTH) is None, "the window of 100 had its step"
    assert windows.due == 901 * LENGTH


def test_nothing_happens_before_the_first_window() -> None:
    windows = Windows(LENGTH, 10.0)
    windows.press(1)
    assert windows.poll(9.0) is None
    assert windows.due == 10.0
    assert windows.poll(10.0) == (1,)
