"""Everything that can be checked before JAX is imported: names, settings, payoffs, the objective, missing agents."""

import dataclasses
from collections.abc import Iterable

from rpax.environments.payoffs import check_payoffs, read_payoffs
from rpax.environments.registry import check_environment_name
from rpax.errors import InputError
from rpax.objectives.catalogue import ALGORITHMS, ALIASES, algorithm
from rpax.objectives.edges import Objective
from rpax.objectives.files import load_objective
from rpax.runs.config import TrainConfig

#: The settings that vary a catalogue algorithm.
ALGORITHM_OPTIONS = (
    "partner_play",
    "crossplay_weight",
    "population",
    "sides",
    "victim_self_play",
    "antagonist",
)
#: The fixed agents that have a setting of their own.
_FIXED = ("victim", "partner")


def prepare(
    config: TrainConfig, objective: Objective | None = None, given: Iterable[str] = ()
) -> tuple[TrainConfig, Objective]:
    """The complete configuration, and the objective it names.

    Args:
        config: as the user gave it; what is open is filled in from the preset.
        objective: an objective of the user's own; else ``config.algorithm`` names one, or a YAML file.
        given: names of fixed agents that are given as objects rather than in the configuration.

    Raises:
        InputError: a name, setting, payoff, objective or fixed agent is wrong or missing.
    """
    entry = check_environment_name(config.environment)
    complete = config.complete(tabular=entry.tabular)
    if complete.payoffs is not None:
        if "payoffs" not in (entry.options or ()):
            raise InputError(f"environment '{config.environment}' takes no payoffs; use matrix/custom for your own")
        payoffs = check_payoffs(read_payoffs(complete.payoffs))
        complete = dataclasses.replace(complete, payoffs=[payoffs[..., seat].tolist() for seat in (0, 1)])
    elif "payoffs" in (entry.options or ()):
        raise InputError(
            f"environment '{config.environment}' needs payoffs; give --payoffs '[[1, 0], [0, 1]]' or a file"
        )
    for setting, wrong in (("exact", complete.exact), ("network", complete.network == "tabular")):
        if wrong and not entry.tabular:
            value = "exact mode" if setting == "exact" else "network 'tabular'"
            raise InputError(
                f"{value} needs a normal-form or small extensive-form game, not '{config.environment}'; drop it"
            )
    if complete.influence == "joint" and not complete.exact:
        raise InputError("influence 'joint' is offered in exact mode only; add --exact or drop it")
    objective = _resolve_objective(config, complete, objective)
    _check_fixed_agents(complete, objective, tuple(given))
    return complete, objective


def _resolve_objective(config: TrainConfig, complete: TrainConfig, objective: Objective | None) -> Objective:
    """The objective to train. What a catalogue algorithm was not told explicitly, it takes from the preset."""
    if objective is not None:
        if objective.recipe is None:
            return objective
        name, explicit = objective.recipe.name, dict(objective.recipe.options)
    else:
        name = config.algorithm
        explicit = {
            option: getattr(config, option) for option in ALGORITHM_OPTIONS if getattr(config, option) is not None
        }
    if name.endswith((".yaml", ".yml")):
        if explicit:
            raise InputError(f"{next(iter(explicit))} varies catalogue algorithms; write it into the edges of {name}")
        return load_objective(name)
    entry = ALGORITHMS.get(ALIASES.get(name, name))
    takes = entry.options if entry else ()
    return algorithm(name, **{option: getattr(complete, option) for option in takes} | explicit)


def _check_fixed_agents(config: TrainConfig, objective: Objective, given: tuple[str, ...]) -> None:
    named = {name for name in _FIXED if getattr(config, name) is not None} | set(given)
    for name in objective.fixed:
        if name not in named:
            remedy = f"give --{name} RUN:AGENT, 'uniform' or '[0.5, 0.5]'"
            if name not in _FIXED:
                remedy = f"call it victim or partner, or give it in Python as fixed={{'{name}': …}}"
            raise InputError(f"algorithm '{objective.name}' needs a fixed {name}; {remedy}")
    for name in sorted(named - set(objective.fixed)):
        remedy = f"leave --{name} out" if name in _FIXED else "leave it out"
        raise InputError(f"algorithm '{objective.name}' has no fixed agent '{name}'; {remedy}")
