"""When a person's keys become steps: one step in each window of time, at once where a key comes, else at its end."""

from typing import Generic, TypeVar

Key = TypeVar("Key")


class Windows(Generic[Key]):
    """Windows of equal length, one after the other, and the key that waits for the next one. Times are in seconds.

    The first key in a window makes its step at once. Later keys wait for the next window, the last one wins, so keys
    that are held down give as many steps as there are windows. A window without a key ends with a step without an
    action. After a time in which nobody looked, missed windows are left out instead of being made up for.

    Args:
        seconds: the length of a window.
        now: when the first one begins.
    """

    def __init__(self, seconds: float, now: float) -> None:
        self.seconds = seconds
        self._begin, self._used = now, False
        self._waiting: Key | None = None

    def press(self, key: Key) -> None:
        """A key, whatever it means; ask :meth:`poll` whether it makes a step now."""
        self._waiting = key

    @property
    def due(self) -> float:
        """When to poll next at the latest."""
        ready = self._waiting is not None and not self._used
        return self._begin if ready else self._begin + self.seconds

    def poll(self, now: float) -> tuple[Key | None] | None:
        """The next step that is to be made now, if any: its key, or ``(None,)`` for a window without one."""
        if self._used and now >= self._begin + self.seconds:
            self._next(now)
        if self._used:
            return None
        if self._waiting is not None and now >= self._begin:
            key, self._waiting, self._used = self._waiting, None, True
            return (key,)
        if now >= self._begin + self.seconds:
            self._next(now)
            return (None,)
        return None

    def _next(self, now: float) -> None:
        self._begin += self.seconds
        if now >= self._begin + self.seconds:
            self._begin = now
        self._used = False
