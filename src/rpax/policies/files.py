"""One agent's policy as a safetensors file: parameters, and in the header what is needed to use them.

Format 2, JSON in the header's entry ``rpax``::

    schema, rpax     2, and the version of rpax that wrote it
    heads            seat -> head
    networks         head -> kind, outputs and settings
    spaces           of both seats
    agent …          whatever was given to :func:`save_policy`
    sha256           of all this and of every array, as :func:`~rpax.tensor_files.digest_of` takes it

Format 1 has neither ``rpax`` nor ``sha256``.
"""

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, get_args

import jax
import numpy as np
from flax import linen as nn
from safetensors.numpy import save_file

from rpax._version import __version__
from rpax.environments.protocol import SeatSpace
from rpax.errors import InputError, shown
from rpax.policies.agent import AgentPolicy, Parameters
from rpax.policies.networks import CNN, GRU, MLP, Activation, Tabular, Uniform
from rpax.tensor_files import digest_of, parse_tensors
from rpax.untrusted import MOST_POLICY, parse_json, read_bounded

SCHEMA = 2
_QUOTE = "'"
#: More than any network has.
_MOST_LAYERS, _MOST_UNITS, _MOST_AXES = 64, 2**24, 8
_NETWORKS: dict[str, type[Any]] = {"tabular": Tabular, "uniform": Uniform, "mlp": MLP, "cnn": CNN, "gru": GRU}
#: What a file says of each kind of network beside its outputs.
_SETTINGS: dict[str, tuple[str, ...]] = {
    "tabular": (),
    "uniform": (),
    "mlp": ("hidden_sizes", "activation"),
    "cnn": ("hidden_sizes", "activation", "channels"),
    "gru": ("hidden_sizes", "activation", "memory_units"),
}


def save_policy(path: pathlib.Path, policy: AgentPolicy, parameters: Parameters, **about: str) -> None:
    """Write parameters named ``head/params/…`` and a header ``rpax`` that describes heads, networks and spaces."""
    header = {
        "schema": SCHEMA,
        "rpax": __version__,
        "heads": {str(seat): head for seat, head in policy.head_of_seat.items()},
        "networks": {head: _describe_network(network) for head, network in policy.networks.items()},
        "spaces": [_describe_space(space) for space in policy.spaces],
        **about,
    }
    leaves, _ = jax.tree_util.tree_flatten_with_path(parameters)
    arrays = {jax.tree_util.keystr(key, simple=True, separator="/"): np.asarray(leaf) for key, leaf in leaves}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path, metadata={"rpax": json.dumps(header | {"sha256": digest_of(header, arrays)})})


def load_policy(path: pathlib.Path) -> tuple[AgentPolicy, Parameters, dict[str, Any]]:
    """Read what :func:`save_policy` wrote: policy, parameters and the whole header.

    Raises:
        InputError: the file is missing, damaged, of a newer format, or holds something else.
    """
    where = f"policy file {path}"
    arrays, about = parse_tensors(read_bounded(path, MOST_POLICY, where), where, "write it again")
    try:
        header = _newest(parse_json(about["rpax"]))
        if header["sha256"] is not None and header["sha256"] != _digest(header, arrays):
            raise InputError("does not match its checksum, it is damaged; restore it from a copy, or write it again")
        policy = _policy_of(header)
        return policy, parameters_of(policy, arrays), header
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except (LookupError, ValueError, TypeError, AttributeError):
        raise InputError(
            f"{where}: damaged, or not a policy written by rpax; write it again, or give "
            f"JaxMARL's parameters as jaxmarl:{path}"
        ) from None


def migrate_1_to_2(header: dict[str, Any]) -> dict[str, Any]:
    """A header of format 1 in the words of format 2, where what format 1 did not say is ``None``."""
    if "sha256" in header:
        raise ValueError("format 1 had no checksum")
    return {**header, "schema": 2, "rpax": None, "sha256": None}


#: format -> what makes a header of the next one of it.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: migrate_1_to_2}


def _newest(header: dict[str, Any]) -> dict[str, Any]:
    """A header of whichever format in the words of the newest one."""
    schema = header["schema"]
    if type(schema) is not int:
        raise ValueError("no format")
    if schema > SCHEMA:
        wrote = shown(header.get("rpax")).strip(_QUOTE)
        raise InputError(
            f"has format {shown(schema)}; this rpax {__version__} reads formats 1 to {SCHEMA}; use rpax {wrote}, which "
            "wrote it"
        )
    if schema == SCHEMA and not isinstance(header["sha256"], str):
        raise ValueError("no checksum")
    while header["schema"] != SCHEMA:
        header = MIGRATIONS[header["schema"]](header)
    return header


def _digest(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    return digest_of({name: value for name, value in header.items() if name != "sha256"}, arrays)


def parameters_of(policy: AgentPolicy, arrays: dict[str, np.ndarray]) -> Parameters:
    """The arrays, named ``head/params/…``, as the policy's networks need them.

    Raises:
        InputError: they are others than the networks need.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(jax.eval_shape(policy.init, jax.random.key(0)))
    needed = {jax.tree_util.keystr(key, simple=True, separator="/"): leaf.shape for key, leaf in leaves}
    if needed != {name: array.shape for name, array in arrays.items() if array.dtype.kind == "f"}:
        raise InputError("its arrays are not those of the networks in its header; write it again")
    return jax.tree.unflatten(structure, [arrays[name] for name in needed])


def _describe_network(network: nn.Module) -> dict[str, Any]:
    about: dict[str, Any] = {"kind": type(network).__name__.lower(), "outputs": network.num_outputs}  # type: ignore[attr-defined]
    return about | {name: _plain(getattr(network, name)) for name in _SETTINGS[about["kind"]]}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _network_of(about: dict[str, Any]) -> nn.Module:
    kind = about["kind"]
    if kind not in _NETWORKS:
        raise InputError(f"network kind {shown(kind)} is unknown; use the rpax that wrote it")
    # Files of older versions leave settings out that did not exist then; their defaults are what was meant.
    settings = {name: _setting_of(name, about[name]) for name in _SETTINGS[kind] if name in about}
    return _NETWORKS[kind](_size(about["outputs"]), **settings)


def _setting_of(name: str, value: Any) -> Any:
    if name == "activation":
        if value not in get_args(Activation):
            raise InputError(f"activation {shown(value)} is unknown; use the rpax that wrote it")
        return value
    if name == "memory_units":
        return _size(value)
    if not isinstance(value, list) or len(value) > _MOST_LAYERS:
        raise ValueError("no list of layers")
    return tuple(map(_size, value))


def _size(value: Any) -> int:
    """A number of units, actions or pixels, as which larger ones than anybody has are refused."""
    if type(value) is not int or not 1 <= value <= _MOST_UNITS:
        raise InputError(f"size {shown(value)} in its header is none from 1 to {_MOST_UNITS}; write it again")
    return value


def _describe_space(space: SeatSpace) -> dict[str, Any]:
    return {
        "observation_shape": list(space.observation_shape),
        "num_actions": space.num_actions,
        "observation_dtype": np.dtype(space.observation_dtype).name,
        "action_names": list(space.action_names) if space.action_names else None,
    }


def _policy_of(header: dict[str, Any]) -> AgentPolicy:
    networks: dict[str, nn.Module] = {}
    for head, about in header["networks"].items():
        networks[head] = _network_of(about)
    spaces = [_space_of(about) for about in header["spaces"]]
    heads = {int(seat): head for seat, head in header["heads"].items()}
    if set(heads.values()) != set(networks) or not set(heads) <= {0, 1}:
        raise ValueError("heads and networks do not fit")
    return AgentPolicy(networks, heads, (spaces[0], spaces[1]))


def _space_of(about: dict[str, Any]) -> SeatSpace:
    shape, kind, names = about["observation_shape"], about["observation_dtype"], about["action_names"]
    actions = _size(about["num_actions"])
    if not isinstance(shape, list) or len(shape) > _MOST_AXES or not isinstance(kind, str):
        raise ValueError("no shape and type")
    if np.dtype(kind).kind not in "biuf":
        raise ValueError("no type of numbers")
    if names is not None and (len(names) != actions or not all(isinstance(name, str) for name in names)):
        raise ValueError("no name an action")
    return SeatSpace(tuple(map(_size, shape)), actions, np.dtype(kind), tuple(names) if names else None)
