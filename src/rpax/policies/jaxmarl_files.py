"""Actors that were trained with JaxMARL's feed-forward baselines, as its ``save_params`` writes them.

Their network is an actor and a critic in one module of flax, so the layers are numbered through: ``Dense_0``,
``Dense_1`` … lead from the observation to the actions' logits, the critic's follow. How wide they are is read off the
weights; which activation is between them is not in the file.
"""

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from flax import linen as nn

from rpax.environments.protocol import Environment, describe_spaces
from rpax.errors import InputError, shown, suggestion
from rpax.policies.agent import AgentPolicy
from rpax.policies.networks import MLP, Activation
from rpax.tensor_files import parse_tensors
from rpax.untrusted import MOST_POLICY, read_bounded

if TYPE_CHECKING:
    from rpax.runs.agent import Agent

#: What JaxMARL puts between the names of a path in a tree.
_SEPARATOR = ","
_ACTIVATIONS = get_args(Activation)


def read_jaxmarl_file(name: str, text: str, environment: Environment) -> "Agent":
    """The agent in ``FILE.safetensors``, or ``relu:FILE.safetensors``, that JaxMARL's ``save_params`` wrote.

    Args:
        name: the agent's role, for messages.
        text: the file, after the activation if that is not tanh.
        environment: where it will play.

    Raises:
        InputError: the file cannot be read, or holds no actor for this environment.
    """
    activation, colon, file = text.partition(":")
    if not colon or activation not in _ACTIVATIONS:
        # A colon may also be part of a path.
        activation, file = "tanh", text
    path = pathlib.Path(file)
    where = f"{name}: JaxMARL's parameters in {path}"
    arrays, _ = parse_tensors(read_bounded(path, MOST_POLICY, where), where, "save them with save_params")
    tree: dict[str, Any] = {}
    for key, array in arrays.items():
        *parents, leaf = key.split(_SEPARATOR)
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise InputError(f"{where}: {shown(key)} lies within an array; save them with save_params")
        inner[leaf] = array
    return _agent_of(where, path.stem, tree, environment, activation)


def flax_policy(parameters: Mapping[str, Any], environment: Environment, activation: str = "tanh") -> "Agent":
    """An agent whose network is a chain of flax's ``Dense`` layers, as in JaxMARL's feed-forward baselines.

    Args:
        parameters: ``{"params": {"Dense_0": {"kernel": …, "bias": …}, …}}``, or what is in it. The first layers that
            lead from the observation to one logit an action are the actor; what follows, a critic, is left out.
        environment: where it will play; observations go in flat, as the environment shows them.
        activation: between layers, ``"tanh"`` or ``"relu"``.

    Raises:
        InputError: these are no such layers, or they do not fit the environment.
    """
    return _agent_of("flax_policy: parameters", "flax", parameters, environment, activation)


def _agent_of(where: str, name: str, tree: Any, environment: Environment, activation: Any) -> "Agent":
    from rpax.runs.agent import Agent

    if activation not in _ACTIVATIONS:
        raise InputError(f"activation {shown(activation)} is unknown; {suggestion(str(activation), _ACTIVATIONS)}")
    layers = _layers(where, tree)
    actions = {space.num_actions for space in environment.spaces}
    actor = _actor(layers, actions)
    sizes = [kernel.shape for kernel, _ in actor]
    flat = [(int(np.prod(space.observation_shape)), space.num_actions) for space in environment.spaces]
    seats = tuple(seat for seat in (0, 1) if flat[seat] == (sizes[0][0], sizes[-1][1]))
    if not seats:
        chain = " -> ".join(map(str, [sizes[0][0], *(size[1] for size in sizes)]))
        numbers = " and ".join(f"{inputs} numbers" for inputs, _ in dict.fromkeys(flat))
        raise InputError(
            f"{where} lead {chain}, from an observation of {sizes[0][0]} numbers to {sizes[-1][1]} actions; "
            f"'{environment.name}' has {describe_spaces(environment.spaces)} ({numbers}); give an actor of this "
            "environment"
        )
    alike = environment.one_policy_for_both_seats and len(seats) == 2
    heads = {seat: "shared" if alike else f"seat_{seat}" for seat in seats}
    hidden = tuple(int(size[1]) for size in sizes[:-1])
    network = MLP(int(sizes[-1][1]), hidden_sizes=hidden, activation=activation)
    networks: dict[str, nn.Module] = dict.fromkeys(heads.values(), network)
    own = {"params": {f"Dense_{i}": {"kernel": kernel, "bias": bias} for i, (kernel, bias) in enumerate(actor)}}
    return Agent(name, AgentPolicy(networks, heads, environment.spaces), dict.fromkeys(networks, own))


def _layers(where: str, tree: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernel and bias of ``Dense_0``, ``Dense_1`` …, in this order."""
    inner = tree.get("params", tree) if isinstance(tree, Mapping) else {}
    names = list(inner) if isinstance(inner, Mapping) else []
    if not names or set(names) != {f"Dense_{i}" for i in range(len(names))}:
        found = ", ".join(map(str, names)) or "nothing"
        raise InputError(f"{where} hold {found}, not layers Dense_0, Dense_1 …; only feed-forward networks are read")
    layers = []
    for i in range(len(names)):
        layer = inner[f"Dense_{i}"]
        parts = dict(layer) if isinstance(layer, Mapping) else {}
        try:
            kernel, bias = (np.asarray(parts[part], np.float32) for part in ("kernel", "bias"))
        except (LookupError, TypeError, ValueError):
            raise InputError(f"{where}: Dense_{i} has no kernel and bias of numbers; give flax's own layers") from None
        if kernel.ndim != 2 or bias.shape != kernel.shape[1:]:
            raise InputError(
                f"{where}: Dense_{i} has a kernel {kernel.shape} and a bias {bias.shape}, not (inputs, outputs) and "
                "(outputs,); of networks that were trained side by side, take one"
            )
        layers.append((kernel, bias))
    return layers


def _actor(layers: list[tuple[np.ndarray, np.ndarray]], actions: set[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The first layers, as far as each takes what the one before gives, up to the last one that ends at the actions.

    All that follow each other, where none ends there.
    """
    outputs = [kernel.shape[1] for kernel, _ in layers]
    broken = (n for n in range(1, len(layers)) if layers[n][0].shape[0] != outputs[n - 1])
    length = next(broken, len(layers))
    ends = [n for n in range(1, length + 1) if outputs[n - 1] in actions]
    return layers[: ends[-1] if ends else length]
