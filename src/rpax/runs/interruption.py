"""What SIGINT (Ctrl-C) and SIGTERM do. Never imports JAX.

In the command, a signal ends the process at once with status 130 wherever nothing would be lost: before and while JAX
is imported, programs are compiled, and results are evaluated and drawn, all of which ``rpax resume`` does again.
From the first update to the last checkpoint, it asks the training loop to stop after the updates in progress and to
save, and policies are written; a second signal ends the process at once. A thread does so, which signals wake even
while the main thread is inside a compilation.

A signal that is ignored when the command starts stays so, as SIGINT in a script's background.

In Python, where the caller's process is not ours to end, a signal always asks the loop, and the second one does what it
would have done without this.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

#: The exit status.
INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(threading.Event):
    """Set when the training loop is to stop.

    Attributes:
        unsaved: whether ending the process at once would lose something.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unsaved = False


class _Watch:
    """Whether a thread looks out for signals, and the loop in progress."""

    thread: threading.Thread | None = None
    loop: Interruption | None = None


def _ours() -> list[int]:
    """The signals that are not to be ignored, as with ``&`` in scripts, nor another library's outside Python."""
    return [number for number in _SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]


def end_on_signals() -> None:
    """From here on signals do what they do in the command; called once, by the main thread."""
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    for number in _ours():
        # The system tells the socket of signals that have a handler.
        signal.signal(number, lambda number, frame: None)
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    _Watch.thread = threading.Thread(target=_watch, args=(reading, writing), name="signals", daemon=True)
    _Watch.thread.start()


def _watch(reading: socket.socket, writing: socket.socket) -> None:
    # Of the other end too, which must stay open as long.
    while writing.fileno() >= 0:
        for number in reading.recv(64):
            if number in _SIGNALS:
                _ask_or_end()


def _ask_or_end() -> None:
    loop = _Watch.loop
    if loop is None or not loop.unsaved or loop.is_set():
        end_at_once()
    else:
        _ask(loop)


def _ask(loop: Interruption) -> None:
    loop.set()
    # Nobody may be reading any more.
    with contextlib.suppress(OSError):
        os.write(2, b"rpax: stopping after the updates in progress; once more to stop without saving them\n")


def end_at_once() -> None:
    """End the process, with its locks given back.

    Raising an exception instead would be lost inside callbacks of JAX, or unwind a compilation that still runs in other
    threads, which crashes.
    """
    try:
        # Imported by whoever holds one.
        lock = sys.modules.get("rpax.runs.lock")
        if lock is not None:
            lock.release_all()
        show_cursor = b"\x1b[?25h\n" if os.isatty(2) else b""
        os.write(2, show_cursor + b"rpax: interrupted\n")
    finally:
        os._exit(INTERRUPTED)


@contextlib.contextmanager
def interruptions() -> Iterator[Interruption]:
    """What SIGINT and SIGTERM set while the block runs, so that a loop can end between two chunks."""
    loop = Interruption()
    if _Watch.thread is not None:
        outer, _Watch.loop = _Watch.loop, loop
        try:
            yield loop
        finally:
            _Watch.loop = outer
        return
    if threading.current_thread() is not threading.main_thread():
        yield loop
        return

    def handle(number: int, frame: object) -> None:
        if loop.is_set():
            signal.signal(number, before[number])
            signal.raise_signal(number)
        _ask(loop)

    before: dict[int, Any] = {number: signal.signal(number, handle) for number in _ours()}
    try:
        yield loop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
