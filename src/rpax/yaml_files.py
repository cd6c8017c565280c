"""YAML: what users wrote is read safely, bounded, duplicate keys refused, and every failure one clear line."""

import pathlib
import re
from collections.abc import Hashable
from typing import Any

import yaml

from rpax.errors import InputError, shown

MOST_BYTES = 10_000_000
#: YAML 1.1, which PyYAML reads, takes 1e-3 for text; as in YAML 1.2 it is a number.
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


class _WrongKey(yaml.constructor.ConstructorError):
    """A key is given twice, or is a list or mapping."""


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice instead of keeping the last."""

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
    """The value that YAML text stands for.

    Raises:
        yaml.YAMLError: it is no YAML.
        ValueError: a date or number in it does not exist or is too long.
        RecursionError: it is nested too deeply.
    """
    return yaml.load(text, Loader=_StrictLoader)


def read_yaml(path: str | pathlib.Path, what: str, example: str) -> Any:
    """The content of a YAML file.

    Args:
        path: the file.
        what: how messages call it, like ``config file``.
        example: a line that would be right.

    Raises:
        InputError: the file is missing, too large, not text, or not YAML.
    """
    path = pathlib.Path(path)
    where = f"{what} {path}"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{where}: larger than {MOST_BYTES} bytes; is it the right file?")
        return parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{where}: cannot be read ({reason}); give the path of a YAML file") from None
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else "it"
        problem = error.problem if isinstance(error, _WrongKey) else "is no YAML"
        raise InputError(f"{where}: {place} {problem}; write lines like '{example}'") from None
