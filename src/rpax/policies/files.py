"""One agent's policy as a safetensors file: parameters, and in the header what is needed to use them."""

import json
import pathlib
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from rpax.environments.protocol import SeatSpace
from rpax.errors import InputError, shown
from rpax.policies.agent import AgentPolicy, Parameters
from rpax.policies.networks import CNN, GRU, MLP, Tabular, Uniform

SCHEMA = 1
_MOST_BYTES = 2_000_000_000
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
        "heads": {str(seat): head for seat, head in policy.head_of_seat.items()},
        "networks": {head: _describe_network(network) for head, network in policy.networks.items()},
        "spaces": [_describe_space(space) for space in policy.spaces],
        **about,
    }
    leaves, _ = jax.tree_util.tree_flatten_with_path(parameters)
    arrays = {jax.tree_util.keystr(key, simple=True, separator="/"): np.asarray(leaf) for key, leaf in leaves}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path, metadata={"rpax": json.dumps(header)})


def load_policy(path: pathlib.Path) -> tuple[AgentPolicy, Parameters, dict[str, Any]]:
    """Read what :func:`save_policy` wrote: policy, parameters and the whole header.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    where = f"policy file {path}"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"larger than {_MOST_BYTES} bytes; is it the right file?")
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})["rpax"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
        policy = _policy_of(header)
        return policy, parameters_of(policy, arrays), header
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror or error}); check the path") from None
    except (SafetensorError, LookupError, ValueError, TypeError, AttributeError):
        raise InputError(
            f"{where}: damaged, or not a policy written by rpax; write it again, or give "
            f"JaxMARL's parameters as jaxmarl:{path}"
        ) from None


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
    given = {name: about[name] for name in _SETTINGS[kind] if name in about}
    settings = {name: tuple(map(int, value)) if isinstance(value, list) else value for name, value in given.items()}
    return _NETWORKS[kind](int(about["outputs"]), **settings)


def _describe_space(space: SeatSpace) -> dict[str, Any]:
    return {
        "observation_shape": list(space.observation_shape),
        "num_actions": space.num_actions,
        "observation_dtype": np.dtype(space.observation_dtype).name,
        "action_names": list(space.action_names) if space.action_names else None,
    }


def _policy_of(header: dict[str, Any]) -> AgentPolicy:
    if header["schema"] != SCHEMA:
        raise InputError(f"policy format {header['schema']} is not {SCHEMA}; use the rpax that wrote it")
    networks: dict[str, nn.Module] = {}
    for head, about in header["networks"].items():
        networks[head] = _network_of(about)
    spaces = [
        SeatSpace(
            tuple(about["observation_shape"]),
            int(about["num_actions"]),
            np.dtype(about["observation_dtype"]),
            tuple(about["action_names"]) if about["action_names"] else None,
        )
        for about in header["spaces"]
    ]
    heads = {int(seat): head for seat, head in header["heads"].items()}
    if set(heads.values()) != set(networks) or not set(heads) <= {0, 1}:
        raise ValueError("heads and networks do not fit")
    return AgentPolicy(networks, heads, (spaces[0], spaces[1]))
