"""Everything that can be checked before JAX is imported: names, settings, payoffs, the objective, missing agents."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from rpax.environments.jaxmarl.layouts import check_layout, read_layout
from rpax.environments.payoffs import check_payoffs, read_payoffs
from rpax.environments.registry import Entry, check_environment_name
from rpax.errors import InputError, shown
from rpax.objectives.catalogue import algorithm, find_algorithm
from rpax.objectives.edges import Objective
from rpax.objectives.files import load_objective
from rpax.objectives.plan import make_plan
from rpax.objectives.sampling import weighted
from rpax.runs.config import TrainConfig
from rpax.runs.presets import ALGORITHM_OPTIONS

#: Setting -> the choice that decides whether it is read, and the one that reads it.
_READ_BY_ONE = {
    "channels": ("network", "cnn"),
    "memory_units": ("network", "gru"),
    "ppo_epochs": ("base_update", "ppo"),
    "ppo_minibatches": ("base_update", "ppo"),
    "ppo_clip": ("base_update", "ppo"),
}
#: The fixed agents that have a setting of their own.
FIXED = ("victim", "partner")


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
    config = _as_its_algorithm_asks(config, objective)
    complete = _check_environment_options(config.complete(tabular=entry.tabular), entry)
    _check_used(complete, config, tabular=entry.tabular)
    complete = _check_entropy(complete, config)
    if config.exploring_starts is None and not isinstance(entry.factory, str):
        # A preset knows nothing of what a user's own environment offers.
        complete = dataclasses.replace(complete, exploring_starts=0.0)
    for setting, wrong in (("exact", complete.exact), ("network", complete.network == "tabular")):
        if wrong and not entry.tabular:
            value, remedy = (
                ("exact mode", "leave exact out") if setting == "exact" else ("network 'tabular'", "use 'mlp'")
            )
            raise InputError(
                f"{value} needs a normal-form or small extensive-form game, not '{config.environment}'; {remedy}"
            )
    if entry.tabular and complete.network in ("cnn", "gru"):
        raise InputError(
            f"network '{complete.network}' makes no sense where every state is seen, as in '{config.environment}'; "
            "use 'tabular' or 'mlp'"
        )
    if complete.influence == "joint" and not complete.exact:
        raise InputError("influence 'joint' is offered in exact mode only; add --exact or drop it")
    if complete.snapshots and complete.snapshots >= (complete.updates or 0):
        raise InputError(
            f"snapshots {complete.snapshots} cannot be taken on the way of updates {complete.updates}; give fewer"
        )
    if complete.outer_average and complete.exact:
        raise InputError("outer_average averages noise away, of which exact mode has none; drop one of them")
    objective, options = _resolve_objective(config, complete, objective)
    # What the algorithm does not take is not a setting of the run.
    complete = dataclasses.replace(complete, **dict.fromkeys(ALGORITHM_OPTIONS) | options)
    complete = _check_sampling(complete, config, objective)
    if in_stages(objective):
        _check_no_fixed_agents(complete, objective, tuple(given))
    else:
        _check_fixed_agents(complete, objective, tuple(given))
    return complete, objective


def source_of(config: TrainConfig, name: str) -> str | None:
    """What a configuration names as a fixed agent; only those in :data:`FIXED` can be named."""
    return getattr(config, name) if name in FIXED else None


def in_stages(objective: Objective) -> bool:
    """Whether an objective is trained in stages, whose earlier ones make its fixed agents."""
    entry = objective.recipe and find_algorithm(objective.recipe.name)
    return bool(entry and entry.in_stages)


def _as_its_algorithm_asks(config: TrainConfig, objective: Objective | None) -> TrainConfig:
    """The configuration with the settings that make a catalogue algorithm what it is, where it has no others."""
    name = config.algorithm if objective is None else objective.recipe and objective.recipe.name
    entry = find_algorithm(name)
    if entry is None:
        return config
    if config.symmetries is False and entry.settings.get("symmetries"):
        raise InputError(f"algorithm '{entry.name}' without symmetries is self-play; leave symmetries out or use sp")
    open_settings = {name: value for name, value in entry.settings.items() if getattr(config, name) is None}
    return dataclasses.replace(config, **open_settings)


def _check_used(config: TrainConfig, asked: TrainConfig, *, tabular: bool) -> None:
    """Refuse settings that were asked for and that nothing reads, unless they are what the preset says anyway.

    Raises:
        InputError: one of them is.
    """
    preset = dataclasses.replace(asked, **dict.fromkeys(_READ_BY_ONE)).complete(tabular=tabular)
    for name, (choice, reader) in _READ_BY_ONE.items():
        chosen = getattr(config, choice)
        if getattr(config, name) != getattr(preset, name) and chosen != reader:
            option = f"--{choice.replace('_', '-')} {reader}"
            raise InputError(f"{name} has no effect with {choice} {chosen}; leave it out or give {option}")


def _check_entropy(config: TrainConfig, asked: TrainConfig) -> TrainConfig:
    """The configuration, once its entropy bonus falls from more to less.

    Who asks for a bonus, and for no fall, gets that bonus throughout.
    """
    if asked.entropy is not None and asked.entropy_start is None and asked.entropy_updates is None:
        return dataclasses.replace(config, entropy_start=asked.entropy, entropy_updates=0)
    if not config.entropy_updates:
        if asked.entropy_start not in (None, 0.0, config.entropy):
            raise InputError(f"entropy_start {shown(asked.entropy_start)} needs entropy_updates, over which it falls")
        return dataclasses.replace(config, entropy_start=config.entropy)
    if (config.entropy_start or 0.0) < (config.entropy or 0.0):
        raise InputError(
            f"entropy_start {shown(config.entropy_start)} is less than entropy {shown(config.entropy)}, to which it "
            "falls; raise it or lower entropy"
        )
    return config


def _check_sampling(config: TrainConfig, asked: TrainConfig, objective: Objective) -> TrainConfig:
    """The configuration, once its environments can be divided as sampling and PPO do.

    Where the preset's choice of sampling does not fit, all pairings are sampled equally; where its minibatches do not,
    there are fewer.
    """
    if config.exact:
        if asked.sampling == "weighted":
            raise InputError("sampling 'weighted' makes no sense in exact mode, which samples nothing; drop one")
        return dataclasses.replace(config, sampling="uniform")
    envs, parts = config.envs or 0, 1
    minibatches = (config.ppo_minibatches or 1) if config.base_update == "ppo" else 1
    if config.sampling == "weighted":
        parts = weighted(make_plan(objective))[1]
        if envs % (parts * minibatches) and asked.sampling is None and not envs % minibatches:
            return dataclasses.replace(config, sampling="uniform")
    if envs % parts:
        raise InputError(f"sampling 'weighted' divides envs by {parts}, which {envs} cannot be; give another number")
    if envs // parts % minibatches and asked.ppo_minibatches is None:
        return dataclasses.replace(config, ppo_minibatches=math.gcd(envs // parts, minibatches))
    if envs // parts % minibatches:
        by = f" / {parts} (sampling 'weighted')" if parts > 1 else ""
        raise InputError(f"ppo_minibatches {minibatches} does not divide envs {envs}{by}; change one of them")
    return config


def fit_sampling(config: TrainConfig, objective: Objective) -> TrainConfig:
    """A complete configuration as it suits another objective, where its sampling or its minibatches do not."""
    asked = dataclasses.replace(config, sampling=None, ppo_minibatches=None)
    return _check_sampling(config, asked, objective)


def _check_environment_options(config: TrainConfig, entry: Entry) -> TrainConfig:
    """The configuration with payoffs as plain lists and a layout as text, once the environment knows every option."""
    name, options = config.environment, config.environment_options
    if config.payoffs is not None:
        if "payoffs" not in (entry.options or ()):
            raise InputError(f"environment '{name}' takes no payoffs; use matrix/custom or storm for your own")
        payoffs = check_payoffs(read_payoffs(config.payoffs))
        config = dataclasses.replace(config, payoffs=[payoffs[..., seat].tolist() for seat in (0, 1)])
    for option in options:
        if option == "payoffs":
            raise InputError("option 'payoffs' has a setting of its own; give --payoffs")
        if entry.options is not None and option not in entry.options:
            known = [taken for taken in entry.options if taken != "payoffs"]
            remedy = f"it takes {', '.join(known)}" if known else "it takes none"
            raise InputError(f"environment '{name}' has no option {shown(option)}; {remedy}")
    for option in entry.needs:
        if option == "payoffs" and config.payoffs is None:
            raise InputError(f"environment '{name}' needs payoffs; give --payoffs '[[1, 0], [0, 1]]' or a file")
        if option != "payoffs" and option not in options:
            raise InputError(f"environment '{name}' needs the option {option}; give --option {option}=…")
    if "layout" in entry.needs:
        # The drawing itself, so that the run stays what it is when the file changes or is gone.
        layout = read_layout(options["layout"])
        check_layout(layout)
        config = dataclasses.replace(config, environment_options={**options, "layout": layout})
    return config


def _resolve_objective(
    config: TrainConfig, complete: TrainConfig, objective: Objective | None
) -> tuple[Objective, dict[str, Any]]:
    """The objective to train, and the options that made it.

    What a catalogue algorithm was not told explicitly, it takes from the preset.
    """
    if objective is not None:
        if objective.recipe is None:
            return objective, {}
        name, explicit = objective.recipe.name, dict(objective.recipe.options)
    else:
        name = config.algorithm
        explicit = {
            option: getattr(config, option) for option in ALGORITHM_OPTIONS if getattr(config, option) is not None
        }
    if name.endswith((".yaml", ".yml")):
        if explicit:
            raise InputError(f"{next(iter(explicit))} varies catalogue algorithms; write it into the edges of {name}")
        return load_objective(name), {}
    entry = find_algorithm(name)
    takes = entry.options if entry else ()
    options = {option: getattr(complete, option) for option in takes} | explicit
    return algorithm(name, **options), options


def _check_no_fixed_agents(config: TrainConfig, objective: Objective, given: tuple[str, ...]) -> None:
    for name in (*(f"--{name}" for name in FIXED if getattr(config, name) is not None), *given):
        raise InputError(f"algorithm '{objective.name}' trains its own partners; leave {name} out")


def _check_fixed_agents(config: TrainConfig, objective: Objective, given: tuple[str, ...]) -> None:
    named = {name for name in FIXED if getattr(config, name) is not None} | set(given)
    for name in objective.fixed:
        if name not in named:
            remedy = f"give --{name} RUN:AGENT, FILE.py:NAME, 'uniform' or '[0.5, 0.5]'"
            if name not in FIXED:
                remedy = f"call it victim or partner, or give it in Python as fixed={{'{name}': …}}"
            raise InputError(f"algorithm '{objective.name}' needs a fixed {name}; {remedy}")
    for name in sorted(named - set(objective.fixed)):
        remedy = f"leave --{name} out" if name in FIXED else "leave it out"
        raise InputError(f"algorithm '{objective.name}' has no fixed agent '{name}'; {remedy}")
