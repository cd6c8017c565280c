"""YAML: what users wrote is read safely, bounded, duplicate keys refused, and every failure one clear line."""

import pathlib
import re
from collections.abc import Hashable
from typing import Any

import yaml

from rpax.errors import InputError, shown
from rpax.untrusted import MOST_LEVELS, MOST_YAML, read_text

#: Values in a document, where one that is repeated by an alias counts each time; and digits of a number. Of so many
#: values reading takes ten seconds.
MOST_VALUES, MOST_DIGITS = 500_000, 1000
#: YAML 1.1, which PyYAML reads, takes 1e-3 for text; as in YAML 1.2 it is a number.
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


class _WrongKey(yaml.constructor.ConstructorError):
    """A key is given twice, or is a list or mapping."""


class _TooMuch(yaml.MarkedYAMLError):
    """Values lie too deep in each other, or aliases repeat too many."""


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice instead of keeping the last."""

    def fetch_flow_collection_start(self, TokenClass: type[yaml.Token]) -> None:
        """A bracket that opens, unless too many are open: looking for their ends takes the square of their number."""
        if self.flow_level >= MOST_LEVELS:
            raise _TooMuch(problem=f"is nested more than {MOST_LEVELS} levels deep", problem_mark=self.get_mark())
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next value, unless there were too many already."""
        self._values = getattr(self, "_values", 0) + 1
        if self._values > MOST_VALUES:
            raise _TooMuch(problem=f"holds more than {MOST_VALUES} values", problem_mark=self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping, unless a key comes twice."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise _WrongKey(problem=f"has {shown(key)} for a key", problem_mark=key_node.start_mark)
            if key in seen:
                raise _WrongKey(problem=f"has the key {shown(key)} twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """A safe dumper that quotes text which :class:`_StrictLoader` would take for a number."""


for _kind in (_StrictLoader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def format_yaml(value: Any, **layout: Any) -> str:
    """YAML from which :func:`parse_yaml` gets the value back, in the value's own order.

    Args:
        value: mappings, lists, text, numbers.
        **layout: what :func:`yaml.dump` takes.
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120, **layout)


def parse_yaml(text: str) -> Any:
    """The value that YAML text stands for: of plain types only, whatever its tags ask for.

    Raises:
        yaml.YAMLError: it is no YAML, or is nested too deeply or made too large by its aliases.
        ValueError: a date or number in it does not exist or is too long.
    """
    loader = _StrictLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {})
        return loader.construct_document(node)
    except RecursionError:
        raise _TooMuch(problem=f"is nested more than {MOST_LEVELS} levels deep") from None
    except (LookupError, TypeError, AttributeError):  # of tags like !!bool on what is none
        raise yaml.constructor.ConstructorError(problem="has a tag that does not fit its value") from None
    finally:
        loader.dispose()


def _measure(node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values a node stands for, and how deep they lie; those of aliases are counted where they are repeated.

    Raises:
        yaml.YAMLError: too many, too deep, or within themselves.
    """
    if id(node) in known:
        if not known[id(node)][0]:
            raise _TooMuch(problem="has an alias for what it is in", problem_mark=node.start_mark)
        return known[id(node)]
    if isinstance(node, yaml.ScalarNode):
        number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        if number and len(node.value) > MOST_DIGITS:
            raise _TooMuch(problem=f"has a number of more than {MOST_DIGITS} digits", problem_mark=node.start_mark)
        return 1, 0
    known[id(node)] = 0, 0
    entries = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    values, levels = 1, 0
    for entry in entries:
        its_values, its_levels = _measure(entry, known)
        values, levels = values + its_values, max(levels, its_levels)
    if values > MOST_VALUES or levels >= MOST_LEVELS:
        many = (
            f"repeats more than {MOST_VALUES} values" if values > MOST_VALUES else f"is over {MOST_LEVELS} levels deep"
        )
        raise _TooMuch(problem=many, problem_mark=node.start_mark)
    known[id(node)] = values, levels + 1
    return known[id(node)]


def read_yaml(path: str | pathlib.Path, what: str, example: str) -> Any:
    """The content of a YAML file.

    Args:
        path: the file.
        what: how messages call it, like ``config file``.
        example: a line that would be right.

    Raises:
        InputError: the file is missing, too large, not text, or not YAML.
    """
    where = f"{what} {path}"
    text = read_text(pathlib.Path(path), MOST_YAML, where, "give the path of a YAML file")
    try:
        return parse_yaml(text)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else "it"
        problem = error.problem if isinstance(error, _WrongKey | _TooMuch) else "is no YAML"
        raise InputError(f"{where}: {place} {problem}; write lines like '{example}'") from None
