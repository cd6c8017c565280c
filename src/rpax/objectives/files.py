"""Objectives as YAML: the same words as in Python, unknown keys refused with the nearest known one."""

import dataclasses
import pathlib
from collections.abc import Mapping

from rpax.errors import InputError, shown, suggestion
from rpax.objectives.edges import Objective, ObjectiveEdge
from rpax.runs.writing import write_text, writing_out
from rpax.yaml_files import format_yaml, read_yaml

_EDGE_KEYS = tuple(field.name for field in dataclasses.fields(ObjectiveEdge))
_EDGE_REQUIRED = ("learner", "beneficiary", "partner")
_KEYS = ("name", "agents", "edges")


def load_objective(path: str | pathlib.Path) -> Objective:
    """Read an objective from a YAML file.

    The file maps ``agents`` to names with roles and ``edges`` to a list of edges::

        name: my-attack
        agents: {victim: fixed, adversary: base}
        edges:
          - {learner: adversary, beneficiary: victim, partner: adversary, weight: -1, seats: [0]}

    Raises:
        InputError: the file is missing, too large, not YAML, or breaks a rule of objectives.
    """
    content = read_yaml(path, "objective file", "agents: {victim: base, adversary: base}")
    try:
        return objective_from_dict(content, default_name=pathlib.Path(path).stem)
    except InputError as error:
        raise InputError(f"objective file {path}: {error}") from None


def objective_from_dict(content: object, default_name: str = "custom") -> Objective:
    """An objective from plain data, the inverse of :func:`objective_to_dict`."""
    if not isinstance(content, Mapping):
        raise InputError(f"{shown(content)} is not a mapping with the keys {', '.join(_KEYS)}")
    _check_keys("key", content, _KEYS, required=("agents", "edges"))
    if not isinstance(content["edges"], list):
        raise InputError(f"edges {shown(content['edges'])} must be a list of edges")
    edges = []
    for number, entry in enumerate(content["edges"]):
        if not isinstance(entry, Mapping):
            raise InputError(f"edge {number} {shown(entry)} must be a mapping with the keys {', '.join(_EDGE_KEYS)}")
        _check_keys(f"edge {number}: key", entry, _EDGE_KEYS, required=_EDGE_REQUIRED)
        edges.append(ObjectiveEdge(**entry))
    return Objective(agents=content["agents"], edges=edges, name=content.get("name", default_name))


def objective_to_dict(objective: Objective) -> dict:
    """An objective as plain data that YAML and JSON can hold."""
    edges = [{**dataclasses.asdict(edge), "seats": list(edge.seats)} for edge in objective.edges]
    return {
        "name": objective.name,
        "agents": dict(objective.agents),
        "edges": [{key: value for key, value in edge.items() if value is not None} for edge in edges],
    }


def save_objective(objective: Objective, path: str | pathlib.Path) -> None:
    """Write ``objective`` as YAML; :func:`load_objective` reads it back as the same objective.

    Raises:
        InputError: it cannot be written; what was there stays.
    """
    text = format_yaml(objective_to_dict(objective), default_flow_style=None)
    with writing_out(path, f"objective '{path}'", "choose another place"):
        write_text(pathlib.Path(path), text)


def _check_keys(where: str, content: Mapping, known: tuple[str, ...], required: tuple[str, ...]) -> None:
    for key in content:
        if key not in known:
            raise InputError(f"{where} {shown(key)} is unknown; {suggestion(str(key), known)}")
    for key in required:
        if key not in content:
            raise InputError(f"{where} '{key}' is missing; add it")
