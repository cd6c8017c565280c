"""Safetensors files read strictly: what their header says is checked before an array is made. Never unpickles.

The format: eight bytes with the length of the header, little end first; the header in JSON, which names each array
with its type, shape and place; then the arrays, one after the other without gaps.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rpax.errors import InputError, shown
from rpax.untrusted import MOST_HEADER, NotStrictJSON, check_keys, parse_json

_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
}
_LENGTH, _ABOUT, _MOST_AXES = 8, "__metadata__", 32


class ArrayType(NamedTuple):
    """What an array is without its numbers: ``float32[2, 3]``."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"

    @property
    def bytes(self) -> int:
        """How much room its numbers take."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class Header(NamedTuple):
    """What a file holds.

    Attributes:
        arrays: by name.
        start: where each one's numbers begin in the file.
        about: texts by name, as they were given when it was written.
    """

    arrays: dict[str, ArrayType]
    start: dict[str, int]
    about: dict[str, str]


def parse_tensors(
    content: bytes, where: str, remedy: str, expected: Mapping[str, ArrayType] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a file, and what else its header says.

    Args:
        content: of the whole file.
        where: how messages call the file.
        remedy: what helps where it is damaged.
        expected: the arrays that it must hold, no more and no fewer; any by default.

    Raises:
        InputError: it is no such file, or holds others.
    """
    try:
        header = parse_header(content)
    except NotStrictJSON as error:
        raise InputError(f"{where}: no safetensors file, it {error}; {remedy}") from None
    if expected is not None:
        check_same_arrays(header.arrays, expected, where, "its manifest", f"it is damaged; {remedy}")
    arrays = {}
    for name, (dtype, shape) in header.arrays.items():
        flat = np.frombuffer(content, dtype, math.prod(shape), header.start[name]) if math.prod(shape) else ()
        arrays[name] = np.array(flat, dtype).reshape(shape)
    return arrays, header.about


def check_same_arrays(
    found: Mapping[str, ArrayType],
    expected: Mapping[str, ArrayType],
    where: str,
    by: str,
    remedy: str,
) -> None:
    """Whether arrays have the names, types and shapes that ``by`` asks for.

    Raises:
        InputError: names the first array that does not.
    """
    for name, kind in expected.items():
        if name not in found:
            raise InputError(f"{where}: array {shown(name)} is missing; {remedy}")
        if found[name] != kind:
            raise InputError(f"{where}: array {shown(name)} is {found[name]}, {by} needs {kind}; {remedy}")
    for name in found:
        if name not in expected:
            raise InputError(f"{where}: array {shown(name)} is not one that {by} knows; {remedy}")


def parse_header(content: bytes) -> Header:
    """What a file's header says, checked against the size of the file.

    Raises:
        NotStrictJSON: it is no header, or does not fit the file.
    """
    if len(content) < _LENGTH:
        raise NotStrictJSON(f"has {len(content)} bytes")
    length = int.from_bytes(content[:_LENGTH], "little")
    if length > min(MOST_HEADER, len(content) - _LENGTH):
        raise NotStrictJSON(f"has a header of {length} bytes, in a file of {len(content)}")
    entries = parse_json(content[_LENGTH : _LENGTH + length])
    if not isinstance(entries, dict):
        raise NotStrictJSON(f"has {shown(entries)} for a header")
    about = entries.pop(_ABOUT, {})
    if not isinstance(about, dict) or not all(isinstance(text, str) for text in about.values()):
        raise NotStrictJSON(f"has {shown(about)} for '{_ABOUT}'")
    arrays, spans = {}, {}
    for name, entry in entries.items():
        arrays[name], spans[name] = _entry_of(name, entry)
    start = _LENGTH + length
    _check_without_gaps(arrays, spans, len(content) - start)
    return Header(arrays, {name: start + begin for name, (begin, _) in spans.items()}, about)


def _entry_of(name: str, entry: object) -> tuple[ArrayType, tuple[int, int]]:
    about = check_keys(entry, {"dtype": str, "shape": list, "data_offsets": list})
    if about["dtype"] not in _DTYPES:
        raise NotStrictJSON(f"has array {shown(name)} of the unknown type {shown(about['dtype'])}")
    kind = ArrayType(_DTYPES[about["dtype"]], as_shape(about["shape"]))
    offsets = about["data_offsets"]
    if len(offsets) != 2 or not all(map(is_size, offsets)):
        raise NotStrictJSON(f"has array {shown(name)} at {shown(offsets)}")
    if offsets[1] - offsets[0] != kind.bytes:
        raise NotStrictJSON(f"has array {shown(name)}, {kind}, in {offsets[1] - offsets[0]} bytes")
    return kind, (offsets[0], offsets[1])


def _check_without_gaps(arrays: Mapping[str, ArrayType], spans: Mapping[str, tuple[int, int]], size: int) -> None:
    end = 0
    for name in sorted(spans, key=lambda each: spans[each]):
        if spans[name][0] != end:
            raise NotStrictJSON(f"has array {shown(name)} from byte {spans[name][0]} where {end} is free")
        end = spans[name][1]
    if end != size:
        raise NotStrictJSON(f"has {size} bytes of arrays where its header describes {end}")


def is_size(value: object) -> bool:
    """Whether ``value`` can be a length or an offset."""
    return type(value) is int and 0 <= value < 2**63


def as_shape(value: Any) -> tuple[int, ...]:
    """A list of lengths as a shape.

    Raises:
        NotStrictJSON: it is none.
    """
    sizes = isinstance(value, list) and len(value) <= _MOST_AXES and all(map(is_size, value))
    # NumPy also refuses arrays without numbers whose other axes are too long.
    if not sizes or not is_size(8 * math.prod(filter(None, value))):
        raise NotStrictJSON(f"has {shown(value)} for a shape")
    return tuple(value)


def digest_of(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of what is said of arrays, and of their names, types, shapes and numbers in the order of the names.

    Args:
        about: plain data, as JSON holds it.
        arrays: by name.
    """
    kinds = {name: [kind.dtype, list(kind.shape)] for name, kind in ((n, array_type(a)) for n, a in arrays.items())}
    text = json.dumps([about, kinds], sort_keys=True, separators=(",", ":"))
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return found.hexdigest()


def array_type(array: Any) -> ArrayType:
    """The type of an array, or of anything that has ``dtype`` and ``shape``."""
    return ArrayType(np.dtype(array.dtype).name, tuple(map(int, array.shape)))
