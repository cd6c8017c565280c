"""What happens in an episode that a viewer may want to jump to."""

import dataclasses

#: What events can be, those that are worth a mark of their own first.
KINDS = ("delivery", "interaction", "score", "mistake", "sabotage", "payoff", "cooking", "ready", "end")


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
