"""Parsing with tyro, except that wrong input becomes one line that proposes what was probably meant."""

import contextlib
import dataclasses
import inspect
import io
import re
from collections.abc import Sequence
from typing import TypeVar

import tyro

from rpax.errors import InputError, suggestion

Command = TypeVar("Command")
_BOX = re.compile("[\u2500-\u257f]+")


def parse(command: type[Command], verb: str, arguments: Sequence[str]) -> Command:
    """An instance of the dataclass ``command`` from command-line arguments.

    Raises:
        InputError: the arguments are wrong.
        SystemExit: 0, after ``--help``.
    """
    options = [f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(command)]  # type: ignore[arg-type]
    for argument in arguments:
        name = argument.partition("=")[0]
        # Known before tyro sees it, so that the nearest option can be proposed; tyro's own text is a box of lines.
        if name.startswith("--") and name.replace("_", "-") not in [*options, "--help", "--no-normalize"]:
            raise InputError(f"option {name} is unknown to 'rpax {verb}'; {suggestion(name, [*options, '--help'])}")
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                command, prog=f"rpax {verb}", description=inspect.cleandoc(command.__doc__ or ""), args=list(arguments)
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(_one_line(complaint.getvalue(), verb)) from None


def _one_line(text: str, verb: str) -> str:
    """What tyro says, without its box and its last paragraph about --help."""
    words = " ".join(_BOX.sub(" ", text).split())
    bad_value = re.search(
        r"Error parsing (--[\w-]+): .*from \[(.*?)\].*Argument helptext: --[\w-]+(?:, \S+)* (\S+)", words
    )
    if bad_value:
        option, value, kind = bad_value.groups()
        return f"{option} {value} is not allowed; give {kind}, see `rpax {verb} --help`"
    words = re.sub(r"(For full helptext, (see|run)|Argument helptext:) .*$", "", words).strip()
    return f"{words or 'the arguments cannot be read'}; see `rpax {verb} --help`"
