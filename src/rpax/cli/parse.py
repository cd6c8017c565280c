"""Parsing with tyro, except that wrong input becomes one line that proposes what was probably meant."""

import contextlib
import dataclasses
import inspect
import io
import itertools
import re
from collections.abc import Sequence
from typing import TypeVar

import tyro

from rpax.errors import InputError, suggestion

Command = TypeVar("Command")
#: tyro writes a title, its complaint, a rule, and what it says about --help: in a box, or in ASCII between rules.
_FRAME, _RULE = re.compile("^[\u2500-\u257f]|[\u2500-\u257f]$"), re.compile("[\u2500-]{5,}")


def parse(command: type[Command], verb: str, arguments: Sequence[str]) -> Command:
    """An instance of the dataclass ``command`` from command-line arguments.

    Its ``elsewhere``, where there is one, says what to do instead of giving options that other commands take.

    Raises:
        InputError: the arguments are wrong.
        SystemExit: 0, after ``--help``.
    """
    options = [f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(command) if field.init]  # type: ignore[arg-type]
    written = [argument.partition("=")[0].replace("_", "-") for argument in arguments if argument.startswith("--")]
    for name in written:
        # Known before tyro sees it, so that the nearest option can be proposed; tyro's own text is a box of lines.
        if name not in [*options, "--help"]:
            remedy = getattr(command, "elsewhere", {}).get(name) or suggestion(name, [*options, "--help"])
            raise InputError(f"option {name} is unknown to 'rpax {verb}'; {remedy}")
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            parsed = tyro.cli(
                command, prog=f"rpax {verb}", description=inspect.cleandoc(command.__doc__ or ""), args=list(arguments)
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(_one_line(complaint.getvalue(), verb)) from None
    if hasattr(parsed, "given"):
        object.__setattr__(parsed, "given", frozenset(name[2:].replace("-", "_") for name in written))
    return parsed


def _one_line(text: str, verb: str) -> str:
    """What tyro says, without its box, its title and what follows about --help."""
    lines = [_FRAME.sub("", line).strip() for line in text.strip().splitlines()[1:]]
    lines = list(itertools.dropwhile(_RULE.fullmatch, lines))
    first = next((i for i, line in enumerate(lines) if _RULE.fullmatch(line)), len(lines))
    words = " ".join(" ".join(lines[:first]).split())
    choice = re.fullmatch(r"invalid choice (.*) for argument '(.*)'\. Expected one of \((.*)\)\.", words)
    if choice:
        known = sorted(set(re.findall(r"'(.*?)'", choice[3])) - {"None"})
        return f"{choice[2]} {choice[1]} is not allowed; give one of {', '.join(known)}"
    option = re.match(r"Error parsing (--[\w-]+)(?: \([^)]*\))?: ", words)
    values = re.search(r"instantiated from \[(.*?)\]\.|(?:convert string to float|with base 10): (.*)$", words)
    if option and values:
        kind = re.search(rf"^{option[1]} (?:{{None}}\|)?(.+)$", "\n".join(lines[first:]), re.MULTILINE)
        wanted = f"give {kind[1]}, " if kind else ""
        return f"{option[1]} {values[1] or values[2]} is not allowed; {wanted}see `rpax {verb} --help`"
    words = words.rstrip(".")
    return f"{words or 'the arguments cannot be read'}; see `rpax {verb} --help`"
