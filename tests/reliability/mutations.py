"""Files as accidents and attackers leave them: a seeded mutator of bytes, of text, and of safetensors headers."""

import json
import os
import pickle
import random
from collections.abc import Callable

#: Texts that have broken parsers.
TOKENS = (
    "1e999",
    "-1e999",
    "9" * 5000,
    "0." + "9" * 5000,
    "NaN",
    "-Infinity",
    ".inf",
    "1:" * 50 + "1",
    "0x_",
    "!!bool x",
    '!!int ""',
    "!!timestamp x",
    "!!binary é",
    "!!set {a, [b]}",
    "../../../../etc/passwd",
    "/etc/passwd",
    "C:\\windows\\system32",
    "..\\..\\x",
    "\x00",
    "\x1b[2J",
    "\u202e",
    "\ufeff",
    "\ud7ff\uffff",
    "[" * 3000,
    "{a: " * 3000,
    "- " * 3000,
    "null",
    "true",
    "{}",
    "[]",
    "'",
    '"',
    "%",
    "&a [*a]",
    "*nobody",
    "<<: {a: 1}",
    "2001-99-99",
    "a: 1\na: 2",
    "? [a]\n: b",
    "\n---\n",
    "x" * 100_000,
)
#: Values that no file of ours has in any place.
VALUES = (
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**400,
    -0.5,
    1e308,
    "",
    "x" * 10_000,
    "../../x",
    "/etc/passwd",
    "\x00",
    "\x1b[2J\u202e",
    [],
    {},
    [[]],
    [2**62, 2**62],
    [-1],
    [0, 2**63 - 1],
    [1.5],
    {"a": {"b": []}},
)


class Payload:
    """An object that runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def alias_bomb() -> str:
    """A billion values in a few lines of YAML."""
    lines = ["l0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join(lines)


class Mutator:
    """Draws mutations; the same ones for the same seed. ``command`` is what code in a file would run."""

    def __init__(self, seed: int, command: str) -> None:
        self.draw = random.Random(seed)
        self.command = command
        self.pickled = pickle.dumps(Payload(command))

    def bytes(self, content: bytes) -> bytes:
        """One to three accidents."""
        for _ in range(self.draw.randint(1, 3)):
            content = self.draw.choice(self._accidents)(content)
        return content

    def text(self, content: bytes) -> bytes:
        """An accident, or something hostile in the place of a word or in between."""
        if self.draw.random() < 0.4:
            return self.bytes(content)
        token = self.draw.choice([*TOKENS, alias_bomb(), f"!!python/object/apply:os.system ['{self.command}']"])
        first, last = self._range(content)
        if self.draw.random() < 0.7:  # a whole word
            stops = b" \n,:[]{}"
            while first and content[first - 1] not in stops:
                first -= 1
            last = next((n for n in range(first, len(content)) if content[n] in stops), len(content))
        return content[:first] + token.encode("utf-8", "surrogatepass") + content[last:]

    def json(self, content: object) -> object:
        """A JSON document with another value somewhere, or without one."""
        if isinstance(content, dict | list) and content and self.draw.random() < 0.85:
            keys = list(content) if isinstance(content, dict) else range(len(content))
            key = self.draw.choice(keys)
            changed = dict(content) if isinstance(content, dict) else list(content)
            if self.draw.random() < 0.1:
                del changed[key]
            elif isinstance(changed, dict) and self.draw.random() < 0.1:
                changed[self.draw.choice(("x" * 1000, "../x", "\x00", ""))] = changed.pop(key)
            else:
                changed[key] = self.json(changed[key])
            return changed
        return self.draw.choice(VALUES)

    def tensors(self, content: bytes) -> bytes:
        """A safetensors file with another header, or something else in its place."""
        length = int.from_bytes(content[:8], "little")
        header, rest = json.loads(content[8 : 8 + length]), content[8 + length :]
        kind = self.draw.randrange(8)
        if kind == 0:
            return self.pickled
        if kind == 1:
            return (
                self.draw.choice((2**63, 2**64 - 1, length + 1, len(content), 10**8, 0)).to_bytes(8, "little")
                + content[8:]
            )
        if kind == 2:
            return sealed(b" " * self.draw.choice((10, 10_000)) + json.dumps(header).encode(), rest)
        if kind == 3:
            text = json.dumps(header)
            return sealed((text[:-1] + "," + text[1:]).encode(), rest)
        if kind == 4:
            return sealed(self.text(json.dumps(header).encode()), rest)
        if kind == 5:
            return sealed(json.dumps(header).encode(), rest + b"\0" * self.draw.randint(1, 9))
        return sealed(json.dumps(self.json(header)).encode(), rest)

    @property
    def _accidents(self) -> tuple[Callable[[bytes], bytes], ...]:
        return (self._flip, self._flip, self._set, self._cut, self._swap, self._repeat, self._drop, self._insert)

    def _range(self, content: bytes) -> tuple[int, int]:
        first = self.draw.randint(0, len(content))
        return first, min(len(content), first + self.draw.choice((0, 1, 2, 8, 50)))

    def _flip(self, content: bytes) -> bytes:
        if not content:
            return b"\0"
        place = self.draw.randrange(len(content))
        return content[:place] + bytes([content[place] ^ 1 << self.draw.randrange(8)]) + content[place + 1 :]

    def _set(self, content: bytes) -> bytes:
        first, last = self._range(content)
        return content[:first] + bytes([self.draw.choice((0, 9, 10, 32, 255))]) * (last - first) + content[last:]

    def _cut(self, content: bytes) -> bytes:
        return content[: self.draw.randint(0, len(content))]

    def _swap(self, content: bytes) -> bytes:
        places = sorted(self.draw.randint(0, len(content)) for _ in range(4))
        a, b, c, d = places
        return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]

    def _repeat(self, content: bytes) -> bytes:
        first, last = self._range(content)
        return content[:last] + content[first:last] * self.draw.choice((1, 2, 50)) + content[last:]

    def _drop(self, content: bytes) -> bytes:
        first, last = self._range(content)
        return content[:first] + content[last:]

    def _insert(self, content: bytes) -> bytes:
        place = self.draw.randint(0, len(content))
        return content[:place] + self.draw.randbytes(self.draw.choice((1, 4, 100))) + content[place:]


def sealed(header: bytes, rest: bytes) -> bytes:
    """A safetensors file with this header, whatever it says."""
    return len(header).to_bytes(8, "little") + header + rest
