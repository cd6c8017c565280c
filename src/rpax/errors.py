"""The one error type that wrong input raises, that of failed training, and what helps to write their messages."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class InputError(ValueError):
    """The input is wrong: the message names the value, the rule it breaks and the remedy, in one line.

    The command line prints the message after ``rpax:`` and exits with status 2; a library user catches it like
    any ``ValueError``.
    """


class NonFiniteError(RuntimeError):
    """Training became non-finite and was stopped; the last good checkpoint is kept.

    The command line prints the message after ``rpax:`` and exits with status 3.

    Args:
        message: what is not finite, in one line.
        about: the same as data, which the run directory's ``failure.json`` holds.
    """

    def __init__(self, message: str, about: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.about = dict(about or {})


def suggestion(name: str, known: Iterable[str]) -> str:
    """A short remedy for an unknown ``name``: the nearest known one, or the list of all of them.

    >>> suggestion("at-rgp", ["at", "at-rpg", "sp"])
    "did you mean 'at-rpg'?"
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(known)}" if known else "none is known"


def shown(value: object, most: int = 60) -> str:
    """``value`` as an error message shows it: its ``repr`` in one line, cut to ``most`` characters."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python refuses to print integers of thousands of digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= most else text[: most - 1] + "…"
