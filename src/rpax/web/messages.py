"""What a page may say to a game, read strictly."""

from typing import Any, NamedTuple

from rpax.errors import shown
from rpax.untrusted import NotStrictJSON, check_keys, parse_json

#: Messages in a second, and how many that are refused end the connection.
MOST_A_SECOND, MOST_REFUSED = 60, 20


class Start(NamedTuple):
    """Begin an episode, instead of the one in progress if there is any.

    Attributes:
        partner: the number of the one to play with.
        seat: where the person sits.
    """

    partner: int
    seat: int


class Act(NamedTuple):
    """Do something.

    Attributes:
        action: what.
        step: after how many steps of the episode this was decided.
        number: of this message; the frame that answers it has the same.
    """

    action: int
    step: int
    number: int


class Pause(NamedTuple):
    """Stop the time, or let it go on.

    Attributes:
        paused: whether it stops.
    """

    paused: bool


class Refused(Exception):
    """A message is not what a page of ours would send; says why in a line."""


class Excessive(Exception):
    """So much is sent, or so much nonsense, that the connection ends; says why in a line."""


_KINDS: dict[str, tuple[Any, dict[str, type]]] = {
    "start": (Start, {"partner": int, "seat": int}),
    "act": (Act, {"action": int, "step": int, "number": int}),
    "pause": (Pause, {"paused": bool}),
}


def parse_message(text: str) -> Start | Act | Pause:
    """The message that ``text`` is.

    Raises:
        Refused: it is none.
    """
    try:
        found = parse_json(text)
        kind = found.get("type") if isinstance(found, dict) else None
        if not isinstance(kind, str) or kind not in _KINDS:
            raise NotStrictJSON(f"has {shown(kind)} for its type")
        made, fields = _KINDS[kind]
        del found["type"]
        return made(**check_keys(found, fields))
    except NotStrictJSON as error:
        raise Refused(f"the message {error}") from None


class Allowance:
    """How many messages may come: a number in each second, saved up for one second at most.

    Args:
        now: the time in seconds.
    """

    def __init__(self, now: float) -> None:
        self._left, self._at, self._refused = float(MOST_A_SECOND), now, 0

    def take(self, now: float) -> None:
        """One more message has come.

        Raises:
            Excessive: it is one too many.
        """
        self._left = min(self._left + (now - self._at) * MOST_A_SECOND, MOST_A_SECOND)
        self._at = now
        if self._left < 1:
            raise Excessive(f"more than {MOST_A_SECOND} messages a second")
        self._left -= 1

    def refuse(self) -> None:
        """One more message was refused.

        Raises:
            Excessive: it is one too many.
        """
        self._refused += 1
        if self._refused > MOST_REFUSED:
            raise Excessive(f"more than {MOST_REFUSED} messages that were refused")
