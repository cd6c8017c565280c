"""Reading recordings that anybody may have written: strictly, and bounded before anything is inflated.

==================================  ==========================
What                                At most
==================================  ==========================
document                            16 MB, 12 levels
steps                               10,000
numbers of a state                  4096
all numbers of the states together  8 million
actions of a seat                   4096, 16 MB of probabilities
events, pictures                    100,000, 10,000
names, texts                        500 printable characters
==================================  ==========================
"""

import math
import pathlib
from typing import Any

import numpy as np

from rpax.errors import InputError, shown
from rpax.recordings.events import KINDS, Event, check_text
from rpax.recordings.packing import unpack
from rpax.recordings.recording import FORMAT, Made, Recording, Seated
from rpax.recordings.scenes.checks import check_scene
from rpax.untrusted import NotStrictJSON, check_keys, levels, parse_json, read_bounded

MOST_BYTES = 16 * 10**6
_MOST_LEVELS, _MOST_STEPS, _MOST_FIELDS, _MOST_NUMBERS = 12, 10_000, 4096, 8 * 10**6
_MOST_ACTIONS, _MOST_CHANCES, _MOST_EVENTS = 4096, 16 * 10**6, 100_000
_REMEDY = "record it again"
_KEYS: dict[str, Any] = {
    "format": int,
    "rpax": str,
    "environment": dict,
    "players": list,
    "key": list,
    "greedy": bool,
    "length": int,
    "actions": list,
    "rewards": list,
    "returns": list,
    "scene": dict,
    "frames": dict,
    "probabilities": list,
    "action_names": list,
    "events": list,
}


def read_recording(path: pathlib.Path) -> Recording:
    """The recording in a file.

    Raises:
        InputError: it cannot be read, is too large, or no recording; names the file and the cause.
    """
    content = read_bounded(path, MOST_BYTES, str(path), _REMEDY)
    return parse_recording(content, str(path))


def parse_recording(content: bytes | str, where: str = "recording") -> Recording:
    """The recording that text holds; ``where`` is how messages call it.

    Raises:
        InputError: it is none.
    """
    try:
        if len(content) > MOST_BYTES:
            raise NotStrictJSON(f"is larger than {MOST_BYTES} bytes")
        return _recording(parse_json(content))
    except NotStrictJSON as error:
        raise InputError(f"{where} is no recording, it {error}; {_REMEDY}") from None


def _recording(found: Any) -> Recording:
    check_keys(found, _KEYS)
    if found["format"] != FORMAT:
        raise NotStrictJSON(f"has format {shown(found['format'])}, not {FORMAT}")
    if levels(found) > _MOST_LEVELS:
        raise NotStrictJSON(f"is nested more than {_MOST_LEVELS} levels deep")
    length = _whole(found["length"], "length", _MOST_STEPS)
    names = _action_names(found["action_names"])
    frames = _frames(found["frames"], length)
    actions = [unpack(packed, 1, length)[0].astype(np.int32) for packed in _pair(found["actions"], "actions")]
    for seat in (0, 1):
        if length and actions[seat].max() >= len(names[seat]):
            raise NotStrictJSON(f"has action {actions[seat].max()} of seat {seat}, who has {len(names[seat])}")
    rewards = _rewards(found["rewards"], length)
    recording = Recording(
        environment=_made(found["environment"]),
        players=_players(found["players"]),
        key=_key(found["key"]),
        greedy=found["greedy"],
        actions=np.stack(actions, axis=1),
        rewards=rewards,
        scene=check_scene(found["scene"], frames),
        frames=frames,
        probabilities=_probabilities(found["probabilities"], length, names),
        action_names=names,
        events=_events(found["events"], length),
        version=check_text(found["rpax"], "a version"),
    )
    stated = [_number(value, "a return") for value in _pair(found["returns"], "returns")]
    if not np.allclose(stated, recording.returns, rtol=1e-6, atol=1e-9):
        raise NotStrictJSON(f"has returns {shown(stated)}, but its rewards sum to {shown(list(recording.returns))}")
    return recording


def _pair(found: Any, what: str) -> list[Any]:
    if not isinstance(found, list) or len(found) != 2:
        raise NotStrictJSON(f"has {shown(found)} for {what} of two seats")
    return found


def _whole(found: Any, what: str, most: int, least: int = 0) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise NotStrictJSON(f"has {shown(found)} for {what}, which is no whole number from {least} to {most}")
    return found


def _number(found: Any, what: str) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise NotStrictJSON(f"has {shown(found)} for {what}")
    # Integers may be larger than all floats.
    value = math.inf if isinstance(found, int) and abs(found) > 10**300 else float(found)
    if not math.isfinite(value) or abs(value) > 1e300:
        raise NotStrictJSON(f"has {shown(found)} for {what}, which is too large")
    return value


def _action_names(found: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = []
    for each in _pair(found, "action names"):
        if not isinstance(each, list) or not 1 <= len(each) <= _MOST_ACTIONS:
            raise NotStrictJSON(f"has {shown(each)} for the names of 1 to {_MOST_ACTIONS} actions")
        names.append(tuple(check_text(name, "the name of an action") for name in each))
    return names[0], names[1]


def _frames(found: Any, length: int) -> np.ndarray:
    check_keys(found, {"fields": int, "data": dict})
    fields = _whole(found["fields"], "numbers of a state", _MOST_FIELDS)
    if fields * (length + 1) > _MOST_NUMBERS:
        raise NotStrictJSON(f"has {fields} × {length + 1} numbers, more than {_MOST_NUMBERS}")
    return unpack(found["data"], fields, length + 1).T.astype(np.int64)


def _rewards(found: list[Any], length: int) -> np.ndarray:
    rewards, last = np.zeros((length, 2)), 0
    for entry in found:
        if not isinstance(entry, list) or len(entry) != 3:
            raise NotStrictJSON(f"has {shown(entry)} for a step with its two rewards")
        step = _whole(entry[0], "the step of a reward, in order", length, last + 1)
        rewards[step - 1], last = [_number(value, "a reward") for value in entry[1:]], step
    return rewards


def _made(found: Any) -> Made:
    check_keys(found, {"name": str, "options": dict, "payoffs": (list, type(None))})
    for option in found["options"]:
        check_text(option, "the name of an option")
    return Made(check_text(found["name"], "an environment"), found["options"], found["payoffs"])


def _players(found: Any) -> tuple[Seated, Seated]:
    seated = []
    for each in _pair(found, "players"):
        check_keys(each, {"name": str, "kind": str})
        if each["kind"] not in ("agent", "person"):
            raise NotStrictJSON(f"has a player who is {shown(each['kind'])}, neither agent nor person")
        seated.append(Seated(check_text(each["name"], "a player"), each["kind"]))
    return seated[0], seated[1]


def _key(found: Any) -> tuple[int, int]:
    first, second = (_whole(word, "a word of the key", 2**32 - 1) for word in _pair(found, "a key"))
    return first, second


def _probabilities(found: Any, length: int, names: tuple[tuple[str, ...], ...]) -> tuple[Any, Any]:
    chances = []
    for each, of_seat in zip(_pair(found, "probabilities"), names, strict=True):
        if each is not None and length * len(of_seat) > _MOST_CHANCES:
            raise NotStrictJSON(f"has {length} × {len(of_seat)} probabilities, more than {_MOST_CHANCES}")
        packed = None if each is None else unpack(each, len(of_seat), length, differences=False).T
        if packed is not None and packed.dtype != np.uint8:
            raise NotStrictJSON("has probabilities that are no bytes")
        chances.append(packed)
    return chances[0], chances[1]


def _events(found: list[Any], length: int) -> tuple[Event, ...]:
    if len(found) > _MOST_EVENTS:
        raise NotStrictJSON(f"has {len(found)} events, more than {_MOST_EVENTS}")
    events = []
    for each in found:
        if not isinstance(each, list) or len(each) != 4:
            raise NotStrictJSON(f"has {shown(each)} for an event: step, seat, kind and text")
        step, seat, kind, text = each
        if not isinstance(kind, str) or kind not in KINDS:
            raise NotStrictJSON(f"has an event of the unknown kind {shown(kind)}")
        seat = None if seat is None else _whole(seat, "a seat", 1)
        step = _whole(step, "the step of an event", length)
        events.append(Event(step, seat, kind, check_text(text, "an event")))
    return tuple(events)
