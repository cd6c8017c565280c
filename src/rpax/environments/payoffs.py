"""Payoffs as users give them: JSON text, or a JSON, NPY or CSV file. Never imports JAX, never unpickles."""

import io
import math
import pathlib
from typing import Any

import numpy as np

from rpax.errors import InputError, shown
from rpax.untrusted import MOST_PAYOFFS, NotStrictJSON, parse_json, read_bounded

#: Of a seat's matrix: what a run's configuration has room for.
MOST_ENTRIES = 200_000


def read_payoffs(source: object) -> Any:
    """Payoffs as nested lists or an array; those of a file are checked, others not yet (see :func:`check_payoffs`).

    Args:
        source: nested lists or an array (returned as they are), JSON text like ``[[1, 0], [0, 1]]``, or the path of a
            ``.json``, ``.npy`` or ``.csv`` file. In a CSV file an empty line separates the matrices of the two seats.

    Raises:
        InputError: the text is no JSON, or the file is missing, too large, of another kind, or holds no payoffs.
    """
    if not isinstance(source, str | pathlib.Path):
        return source
    text = str(source).strip()
    if text.startswith("["):
        return _parse_json(text, f"payoffs {shown(text)}")
    path = pathlib.Path(text)
    if path.suffix.lower() not in (".json", ".npy", ".csv"):
        raise InputError(
            f"payoffs {shown(text)} are no matrix and no file of a known kind; "
            "give '[[1, 0], [0, 1]]' or a .json, .npy or .csv file"
        )
    where = f"payoff file {path}"
    payoffs = _parse_file(path.suffix.lower(), read_bounded(path, MOST_PAYOFFS, where), where)
    try:
        check_payoffs(payoffs)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return payoffs


def _parse_file(suffix: str, content: bytes, where: str) -> Any:
    if suffix == ".npy":
        return _parse_npy(content, where)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{where}: not UTF-8 text; save it as UTF-8") from None
    return _parse_json(text, where) if suffix == ".json" else _parse_csv(text, where)


def _parse_npy(content: bytes, where: str) -> np.ndarray:
    """The array; what its header says is checked against the size of the file before it is made."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read_header(file)
        if kind.hasobject or kind.itemsize * math.prod(shape) != len(content) - file.tell():
            raise ValueError
        return np.load(io.BytesIO(content), allow_pickle=False)
    except Exception:
        # NumPy gives the header to Python's parser of literals, which can raise anything.
        raise InputError(f"{where}: not a plain NPY array of numbers; save it with numpy.save") from None


def _parse_json(text: str, where: str) -> Any:
    try:
        return parse_json(text, finite=False)
    except NotStrictJSON as error:
        raise InputError(f"{where}: not a JSON list of lists, it {error}; write '[[1, 0], [0, 1]]'") from None


def _parse_csv(text: str, where: str) -> Any:
    blocks: list[list[list[float]]] = [[]]
    for number, line in enumerate(text.splitlines(), 1):
        row = line.split(",")
        if not any(cell.strip() for cell in row):
            if blocks[-1]:
                blocks.append([])
            continue
        try:
            blocks[-1].append([float(cell) for cell in row])
        except ValueError:
            raise InputError(
                f"{where}: line {number} {shown(line)} holds something that is no number; write lines like 1, 0"
            ) from None
    blocks = [block for block in blocks if block]
    return blocks[0] if len(blocks) == 1 else blocks


def check_payoffs(payoffs: object) -> np.ndarray:
    """Payoffs as [n, m, 2] from one matrix (common payoff) or a pair of matrices (one a seat, rows are seat 0 in both).

    Raises:
        InputError: not numbers, ragged, not finite, or fewer than two actions for a seat.
    """
    try:
        array = np.asarray(payoffs)
        if array.dtype.kind not in "biufO":  # NumPy would turn text, dates and complex numbers into numbers too
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"payoffs {shown(payoffs)} are not a matrix of numbers with rows of equal length; "
            "give [[…], […]], or a pair of such matrices of the same shape"
        ) from None
    if array.ndim == 2:
        array = np.stack([array, array])
    if array.ndim != 3 or len(array) != 2:
        raise InputError(f"payoffs have shape {array.shape}; give one n×m matrix, or a pair of them as [2, n, m]")
    if not np.isfinite(array).all():
        raise InputError(f"payoffs contain {array[~np.isfinite(array)][0]}; every payoff must be a finite number")
    if array[0].size > MOST_ENTRIES:
        raise InputError(f"payoffs are {array.shape[1]}×{array.shape[2]}; there may be {MOST_ENTRIES} entries")
    if min(array.shape[1:]) < 2:
        raise InputError(f"payoffs are {array.shape[1]}×{array.shape[2]}; each seat needs at least 2 actions")
    return np.moveaxis(array, 0, -1)
