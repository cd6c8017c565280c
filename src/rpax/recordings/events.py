"""What happens in an episode that a viewer may want to jump to, and which texts recordings hold."""

import dataclasses

from rpax.errors import shown
from rpax.untrusted import NotStrictJSON

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


def check_text(found: object, what: str, most: int = MOST_TEXT) -> str:
    """``found``, if it is a text as recordings hold it.

    Args:
        found: whatever a document has there.
        what: how messages call it.
        most: characters.

    Raises:
        NotStrictJSON: it is none, is longer, or holds what terminals might obey or what turns the direction of reading.
    """
    if not isinstance(found, str) or len(found) > most or not found.isprintable():
        raise NotStrictJSON(f"has {shown(found)} for {what}, which is no text of at most {most} printable characters")
    return found
