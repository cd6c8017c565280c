"""Text and numbers of files that anybody may have written, as the explorer's documents hold them."""

import math
from collections.abc import Iterable
from typing import Any

#: Characters of a name, and of a sentence.
MOST_NAME, MOST_TEXT = 120, 600
_DIGITS = 6


def name_text(value: object) -> str:
    """A name: one line of printable characters, at most ``MOST_NAME``."""
    return plain_text(value, MOST_NAME)


def plain_text(value: object, most: int = MOST_TEXT) -> str:
    """Text in one line, of printable characters only, cut to ``most``.

    Printable are no signs that turn the direction of what follows, and no halves of characters.
    """
    # What is much longer is not even looked at.
    text = " ".join(str(value)[: 4 * most].split())
    text = "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
    return text if len(text) <= most else text[: most - 1] + "…"


def number(value: object) -> float | int | None:
    """A number with six digits; ``None`` for what is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**53 else None
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{_DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 10**_DIGITS else rounded


def numbers(values: Iterable[object]) -> list[Any]:
    """Several."""
    return [number(value) for value in values]
