"""Sequences of whole numbers as short text: differences in time, DEFLATE, base64."""

import base64
import binascii
import zlib
from typing import Any

import numpy as np
from jaxtyping import Integer

from rpax.untrusted import NotStrictJSON, check_keys

#: Types by name; numbers of two bytes are little endian.
_TYPES = {"u8": np.dtype("u1"), "u16": np.dtype("<u2")}
#: As :func:`zlib.compress` is told not to write a header.
_RAW = -15


def pack(rows: Integer[np.ndarray, "rows time"], *, differences: bool = True) -> dict[str, str]:
    """Numbers from 0 to 65535, one row after the other.

    Args:
        rows: each a sequence in time.
        differences: whether each number but a row's first is stored as its difference to the one before, modulo 256 or
            65536.
    """
    assert not rows.size or (rows.min() >= 0 and rows.max() < 2**16), "scenes and actions are small whole numbers"
    name = "u8" if not rows.size or rows.max() < 2**8 else "u16"
    stored = rows.astype(_TYPES[name])
    if differences:
        # Unsigned numbers wrap around.
        stored[:, 1:] -= stored[:, :-1].copy()
    deflate = zlib.compressobj(9, zlib.DEFLATED, _RAW, 9)
    data = deflate.compress(stored.tobytes()) + deflate.flush()
    return {"type": name, "data": base64.b64encode(data).decode()}


def unpack(found: Any, rows: int, time: int, *, differences: bool = True) -> Integer[np.ndarray, "rows time"]:
    """What :func:`pack` packed; never more is inflated than ``rows × time`` numbers take.

    Raises:
        NotStrictJSON: it is not packed like that, or more or fewer numbers.
    """
    check_keys(found, {"type": str, "data": str})
    if found["type"] not in _TYPES:
        raise NotStrictJSON(f"has packed numbers of an unknown type, not {' or '.join(_TYPES)}")
    kind = _TYPES[found["type"]]
    expected = rows * time * kind.itemsize
    try:
        data = base64.b64decode(found["data"], validate=True)
    except (binascii.Error, ValueError):
        raise NotStrictJSON("has packed numbers that are no base64") from None
    inflate = zlib.decompressobj(_RAW)
    try:
        content = inflate.decompress(data, expected + 1)
    except zlib.error:
        raise NotStrictJSON("has packed numbers that cannot be inflated") from None
    if len(content) != expected or not inflate.eof or inflate.unused_data:
        raise NotStrictJSON(f"has packed numbers that are not the expected {rows} × {time}")
    stored = np.frombuffer(content, kind).reshape(rows, time)
    return np.add.accumulate(stored, axis=1, dtype=kind) if differences else stored.copy()
