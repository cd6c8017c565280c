"""Scripted partners by name, ``scripted:idle``: the table, and how to add to it. Imports no JAX."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rpax.errors import InputError, shown, suggestion

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment

#: What stands before a partner's name where agents are named.
SCRIPTED = "scripted"
_STAY = "stay"


@dataclasses.dataclass(frozen=True)
class Partner:
    """A registered partner.

    Attributes:
        summary: one line for ``rpax list``.
        make: from an environment to the partner's policy there, or ``module:function`` that is imported when first
            used.
        family: in which environments it plays: those whose names begin so, before the slash; ``None`` for all.
    """

    summary: str
    make: "str | Callable[[Environment], Any]"
    family: str | None = None


_COOKS = "rpax.policies.scripted_overcooked:"
PARTNERS: dict[str, Partner] = {
    "idle": Partner("stays where it is, wherever there is an action for that", "rpax.policies.scripted:make_idle"),
    "random": Partner("any legal action, uniformly", "rpax.policies.scripted:make_random"),
    "onion-carrier": Partner("brings onions to the pots", f"{_COOKS}make_onion_carrier", "overcooked"),
    "plate-carrier": Partner("takes soups up and delivers them", f"{_COOKS}make_plate_carrier", "overcooked"),
}


def register_partner(name: str, function: Callable[..., Any], family: str | None = None, summary: str = "") -> None:
    """Make a scripted partner of your own available as ``scripted:NAME``.

    Args:
        name: a new name without a colon, like ``greedy``.
        function: from a batch of observations to actions or probabilities, with ``seat`` and ``legal`` if it has
            arguments of these names; :func:`rpax.jax_policy` makes it run inside compiled programs.
        family: the environments it is for, by what comes before the slash of their names; all by default.
        summary: one line for ``rpax list``.

    Raises:
        InputError: the name is no text, has a colon or is taken, or the function cannot be called.
    """
    if not isinstance(name, str) or not name or ":" in name:
        raise InputError(f"partner name {shown(name)} is no text without a colon; give a name like 'greedy'")
    if not callable(function):
        raise InputError(f"partner '{name}': {shown(function)} cannot be called; give a function of observations")
    if name in PARTNERS:
        raise InputError(f"partner '{name}' is already registered; choose another name")
    PARTNERS[name] = Partner(summary, lambda environment: function, family)


def scripted_function(role: str, name: str, environment: "Environment") -> Any:
    """The policy of the partner ``name`` in an environment: a function, or the name of one that is written down.

    Args:
        role: the agent's, for messages.
        name: as registered.
        environment: where it will play.

    Raises:
        InputError: there is no such partner, or it does not play in this environment.
    """
    partner = PARTNERS.get(name)
    if partner is None:
        raise InputError(f"{role}: scripted partner {shown(name)} is unknown; {suggestion(name, PARTNERS)}")
    family = environment.name.rpartition(":")[2].partition("/")[0]
    if partner.family not in (None, family):
        raise InputError(
            f"{role}: {SCRIPTED}:{name} plays {partner.family}/… only, not '{environment.name}'; "
            f"give one of {', '.join(other for other, its in PARTNERS.items() if its.family in (None, family))}"
        )
    if not isinstance(partner.make, str):
        return partner.make(environment)
    module, _, function = partner.make.partition(":")
    return getattr(importlib.import_module(module), function)(environment)


def make_random(environment: "Environment") -> str:
    """Uniform play, which is written down already."""
    from rpax.policies.references import UNIFORM

    return UNIFORM


def make_idle(environment: "Environment") -> Any:
    """Staying, where that is an action of both seats.

    Raises:
        InputError: it is not.
    """
    names = [space.action_names or () for space in environment.spaces]
    if not all(_STAY in its for its in names):
        known = ", ".join(map(str, names[0])) or "no names"
        raise InputError(
            f"{SCRIPTED}:idle needs an action '{_STAY}', '{environment.name}' has {known}; give {SCRIPTED}:random"
        )
    from rpax.policies.functions import jax_policy

    actions = [its.index(_STAY) for its in names]
    return jax_policy(always(actions[0], "idle")) if len(set(actions)) == 1 else jax_policy(_by_seat(actions))


def always(action: int, name: str) -> Callable[..., Any]:
    """The policy ``name`` that does the same everywhere, for :func:`rpax.jax_policy`."""
    import jax.numpy as jnp

    def same_action(observations: Any) -> Any:
        return jnp.full(len(observations), action, jnp.int32)

    same_action.__name__ = name
    return same_action


def _by_seat(actions: list[int]) -> Callable[..., Any]:
    def idle(observations: Any, seat: int) -> Any:
        return always(actions[seat], "idle")(observations)

    return idle
