"""What happens in an episode that a viewer may want to jump to."""

import dataclasses

#: What events can be, those that are worth a mark of their own first.
KINDS = ("delivery", "interaction", "score", "mistake", "sabotage", "payoff", "cooking", "ready", "end")
#: The longest name or text.
MOST_TEXT = 500


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened in a step.

    Attributes:
        step: the number of the state that it led to, from 1.
        seat: who did it, ``None`` for both or nobody.
        kind: one of ``KINDS``.
        text: it in a few words.
    """

    step: int
    seat: int | None
    kind: str
    text: str


def number(value: float) -> str:
    """A payoff as people read it."""
    return f"{value:.4g}".replace("-", "−")


def printable(text: str) -> str:
    """``text`` as recordings hold it: not longer than ``MOST_TEXT``, with ``?`` for what terminals might obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:MOST_TEXT])
