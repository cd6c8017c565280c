"""The one thread that plays: what somebody waits for first, then whatever goes on in the background."""

import concurrent.futures
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

#: A piece of work that goes on for long, in steps between which others may come.
Steps = Iterator[None]
#: Requests that may wait at a time.
MOST_WAITING = 200
#: Seconds that are waited for what is being done when all ends.
_PATIENCE = 3.0


class Busy(RuntimeError):
    """Too much is asked for at once."""


class Worker:
    """One thread for everything that needs JAX, so that nothing is compiled twice and memory is bounded."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[concurrent.futures.Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._steps: dict[Any, Steps] = {}
        self._guard, self._wake, self._ended = threading.Lock(), threading.Event(), False
        self._thread: threading.Thread | None = None

    def ask(self, work: Callable[[], Any]) -> "concurrent.futures.Future[Any]":
        """Do something as soon as possible.

        Raises:
            Busy: too many wait.
        """
        if self._asked.qsize() >= MOST_WAITING:
            raise Busy("too much is asked for at once; wait a little")
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._asked.put((future, work))
        self._go()
        return future

    def begin(self, name: Any, steps: Steps) -> None:
        """Go on with ``steps`` whenever nothing else is asked for, instead of earlier ones of the same name."""
        with self._guard:
            self._steps[name] = steps
        self._go()

    def prefer(self, name: Any) -> None:
        """Go on with the steps of this name first, if there are any."""
        with self._guard:
            if name in self._steps:
                self._steps = {name: self._steps.pop(name), **self._steps}

    def end(self) -> None:
        """Stop after what is being done; what waits is cancelled."""
        self._ended = True
        self._wake.set()
        if self._thread is not None:
            # What is being compiled cannot be stopped, and need not be waited for.
            self._thread.join(_PATIENCE)

    def _go(self) -> None:
        with self._guard:
            if self._thread is None and not self._ended:
                self._thread = threading.Thread(target=self._run, name="rpax-worker", daemon=True)
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        while not self._ended:
            self._wake.clear()
            if not (self._answer() or self._step()):
                self._wake.wait()
        while not self._asked.empty():
            self._asked.get()[0].cancel()

    def _answer(self) -> bool:
        """Do what was asked for first; whether there was anything."""
        try:
            future, work = self._asked.get_nowait()
        except queue.Empty:
            return False
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
        return True

    def _step(self) -> bool:
        """One step of what goes on in the background; whether there was anything."""
        with self._guard:
            if not self._steps:
                return False
            name, steps = next(iter(self._steps.items()))
        try:
            next(steps)
        except StopIteration:
            with self._guard:
                # Somebody may have begun it anew meanwhile.
                if self._steps.get(name) is steps:
                    del self._steps[name]
        return True
