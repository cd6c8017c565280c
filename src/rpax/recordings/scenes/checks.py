"""Whether the scene of a recording that anybody may have written is one that its renderer can draw.

Bounds of the numbers are those of the games; a field's bound is the largest number that it may hold.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Int

from rpax.errors import shown
from rpax.recordings.events import check_text
from rpax.untrusted import NotStrictJSON, check_keys

_MOST_SIDE, _MOST_CARDS, _MOST_ENTRIES, _MOST_PICTURES, _MOST_COUNT = 64, 10, 200_000, 10_000, 10_000
_TILES = frozenset(".#PXBRr0123456789")
_PICTURE = "data:image/png;base64,"
_PNG = b"\x89PNG\r\n\x1a\n"
#: A card's plate, cooked, and two bits for each of ten ingredients would not fit two bytes; frames hold no more.
_MOST_ITEM = 2**16 - 1


def check_scene(found: Any, frames: Int[np.ndarray, "states fields"]) -> dict[str, Any]:
    """``found``, if it is the static description of a known kind that ``frames`` fit.

    Raises:
        NotStrictJSON: it is not.
    """
    kind = found.get("kind")
    if not isinstance(kind, str) or kind not in _CHECKS:
        raise NotStrictJSON(f"has a scene of the unknown kind {shown(kind)}; known: {', '.join(_CHECKS)}")
    most = _CHECKS[kind]({name: value for name, value in found.items() if name != "kind"})
    if frames.shape[1] != len(most):
        raise NotStrictJSON(f"has {frames.shape[1]} numbers a state, a scene of this kind has {len(most)}")
    too_large = frames > np.array(most, np.int64).reshape(1, -1)
    if too_large.any():
        t, field = np.argwhere(too_large)[0].tolist()
        raise NotStrictJSON(f"has {frames[t, field]} for number {field} of state {t}, at most {most[field]} is allowed")
    return found


def _whole(found: Any, what: str, least: int, most: int) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise NotStrictJSON(f"has {shown(found)} for {what} of its scene; {least} to {most} is allowed")
    return found


def _list(found: Any, what: str, least: int, most: int) -> list[Any]:
    if not isinstance(found, list) or not least <= len(found) <= most:
        raise NotStrictJSON(f"has {shown(found)} for {what} of its scene; give {least} to {most} of them")
    return found


def _cell(found: Any, size: int) -> None:
    for place in _list(found, "a cell", 2, 2):
        _whole(place, "a cell", 0, size - 1)


def _overcooked(found: dict[str, Any]) -> list[int]:
    check_keys(found, {"tiles": list, "cook_time": int})
    _whole(found["cook_time"], "cooking time", 1, _MOST_COUNT)
    rows = _list(found["tiles"], "lines", 1, _MOST_SIDE)
    for row in rows:
        if not isinstance(row, str) or not 1 <= len(row) <= _MOST_SIDE or len(row) != len(rows[0]) or set(row) - _TILES:
            raise NotStrictJSON(f"has {shown(row)} for a line of tiles")
    tiles = "".join(rows)
    holds, pots, buttons = (sum(map(tiles.count, kinds)) for kinds in ("#P", "P", "r"))
    cook = [len(rows[0]) - 1, len(rows) - 1, 3, _MOST_ITEM]
    recipe = [_MOST_ITEM] if "R" in tiles or "r" in tiles else []
    return [*cook, *cook, *[_MOST_ITEM] * holds, *[_MOST_COUNT] * pots, *[1] * buttons, *recipe]


def _storm(found: dict[str, Any]) -> list[int]:
    check_keys(found, {"size": int, "coins": list, "marked": (list, type(None)), "freeze": int})
    size = _whole(found["size"], "size", 1, _MOST_SIDE)
    for cell in _list(found["coins"], "coins", 0, 15):
        _cell(cell, size)
    if found["marked"] is not None:
        _cell(found["marked"], size)
    _whole(found["freeze"], "freeze", 0, _MOST_COUNT)
    seat = [size - 1, size - 1, 3, _MOST_COUNT, _MOST_COUNT, 1]
    coins = 2 ** len(found["coins"]) - 1
    return [*seat, *seat, coins, coins, _MOST_COUNT]


def _hanabi(found: dict[str, Any]) -> list[int]:
    keys: dict[str, Any] = {"colours": list, "ranks": int, "hand": int, "hints": int, "lives": int, "most": int}
    check_keys(found, keys)
    for letter in _list(found["colours"], "colours", 1, _MOST_CARDS):
        if not check_text(letter, "a colour", 8):
            raise NotStrictJSON("has a colour without a name")
    colours, ranks = len(found["colours"]), _whole(found["ranks"], "ranks", 1, _MOST_CARDS)
    hand, hints = _whole(found["hand"], "cards", 1, _MOST_CARDS), _whole(found["hints"], "hints", 0, 20)
    lives, most = _whole(found["lives"], "lives", 0, 20), _whole(found["most"], "points", 0, _MOST_COUNT)
    hands = [[limit] * (2 * hand) for limit in (colours * ranks, 2**colours - 1, 2**ranks - 1)]
    actions = 2 * hand + colours + ranks
    table = [*[ranks] * colours, *[100] * (colours * ranks), hints, lives, _MOST_COUNT, most, 1, 1, actions]
    return [*hands[0], *hands[1], *hands[2], *table]


def _table(found: dict[str, Any]) -> list[int]:
    check_keys(found, {"payoffs": list, "next": list, "actions": list})
    counts = [len(each) if isinstance(each, list) else 0 for each in _list(found["actions"], "actions", 2, 2)]
    _names(found["actions"])
    states = len(_list(found["payoffs"], "states", 1, _MOST_ENTRIES))
    if states * counts[0] * counts[1] > _MOST_ENTRIES:
        raise NotStrictJSON(f"has a table of more than {_MOST_ENTRIES} joint actions")
    _nested(found["payoffs"], (states, *counts, 2), _finite)
    _nested(found["next"], (states, *counts), lambda value: _whole(value, "a following state", -1, states - 1))
    return [states - 1, 1, states, *counts]


def _names(found: list[Any]) -> None:
    for names in found:
        for name in _list(names, "actions of a seat", 1, 4096):
            check_text(name, "the name of an action")


def _nested(found: Any, shape: tuple[int, ...], check: Callable[[Any], Any]) -> None:
    if not shape:
        check(found)
        return
    for part in _list(found, "entries of a table", shape[0], shape[0]):
        _nested(part, shape[1:], check)


def _finite(value: Any) -> None:
    # Integers may be larger than all floats; NaN is not within either.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e300:
        raise NotStrictJSON(f"has {shown(value)} for a payoff")


def _pictures(found: dict[str, Any]) -> list[int]:
    check_keys(found, {"pictures": list})
    for picture in _list(found["pictures"], "pictures", 1, _MOST_PICTURES):
        if not isinstance(picture, str) or not picture.startswith(_PICTURE):
            raise NotStrictJSON(f"has {shown(picture)} for a picture; give PNG as data:image/png;base64,…")
        try:
            content = base64.b64decode(picture.removeprefix(_PICTURE), validate=True)
        except (binascii.Error, ValueError):
            raise NotStrictJSON("has a picture that is no base64") from None
        if not content.startswith(_PNG):
            raise NotStrictJSON("has a picture that is no PNG")
        _check_size(content)
    return [len(found["pictures"]) - 1]


def _check_size(content: bytes) -> None:
    """Refuse a picture that says in its first chunk that it is very large."""
    width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
    if content[12:16] != b"IHDR" or not (1 <= width <= 4096 and 1 <= height <= 4096):
        raise NotStrictJSON("has a picture of no allowed size; at most 4096 × 4096 pixels")


def _moves(found: dict[str, Any]) -> list[int]:
    check_keys(found, {"actions": list})
    _names(_list(found["actions"], "actions", 2, 2))
    return [len(names) for names in found["actions"]]


#: kind → what checks its static description and gives the largest number in each field.
_CHECKS: dict[str, Callable[[dict[str, Any]], list[int]]] = {
    "overcooked": _overcooked,
    "storm": _storm,
    "hanabi": _hanabi,
    "table": _table,
    "pictures": _pictures,
    "moves": _moves,
}
