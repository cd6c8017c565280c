"""The configuration of a training run: one flat, typed list of settings, the same in Python, YAML and the command.

Values come from defaults ← preset ← file ← options. A setting that is ``None`` takes the preset's value; a
*complete* configuration has none left and is what a run directory stores. This module never imports JAX.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from tyro.conf import Suppress, arg

from rpax.errors import InputError, shown, suggestion
from rpax.runs.presets import PRESETS, preset_values
from rpax.yaml_files import parse_yaml, read_yaml

# How the command line shows settings that may be left open.
_BY_PRESET = "(default: the preset's)"
PresetInt = Annotated[int | None, arg(metavar="INT", help_behavior_hint=_BY_PRESET)]
PresetReal = Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint=_BY_PRESET)]
PresetFlag = Annotated[bool | None, arg(metavar="{True,False}", help_behavior_hint=_BY_PRESET)]
PresetOptimizer = Annotated[Literal["sgd", "adam"] | None, arg(metavar="{sgd,adam}", help_behavior_hint=_BY_PRESET)]
_AGENT = arg(metavar="AGENT", help_behavior_hint="(needed by attacks)")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """What is trained, and how. ``None`` means: what the preset says.

    The Greek letters are the paper's. Learning rates of exact and sampled mode do not carry over: exact mode sums
    edges, sampled mode averages normalised advantages over them.
    """

    algorithm: str
    """Name of a catalogue algorithm (see `rpax list`), or a YAML file with an objective of your own."""
    environment: str
    """Name of an environment (see `rpax list`)."""
    preset: Literal["fast", "paper"] = "fast"
    """Where unset values come from: `fast` was found to reach good quality soonest, `paper` is the paper's Table 3."""

    seed: int = 0
    """First random seed."""
    seeds: int | tuple[int, ...] = 1
    """How many consecutive seeds are trained, in one compiled program."""
    exact: bool = False
    """Exact gradients instead of sampled play (normal-form and small extensive-form games)."""
    updates: PresetInt = None
    """Updates of Algorithm 1."""
    minutes: Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="(default: no limit)")] = None
    """Stop, saved, after so many minutes."""

    payoffs: str | list | None = None
    """For matrix/custom and storm: '[[…],[…]]', or a JSON, NPY or CSV file; one matrix, or one a seat (row: seat 0)."""
    environment_options: Annotated[dict[str, Any], Suppress] = dataclasses.field(default_factory=dict)
    """Options of the environment, as `rpax.make` takes them (on the command line: --option)."""
    population: PresetInt = None
    """N, the number of base agents of AD and CoMeDi, and of FCP's self-play seeds."""
    partner_play: PresetReal = None
    """ε, the weight of each evaluation partner in a base agent's objective."""
    crossplay_weight: PresetReal = None
    """λ, how strongly the agents of AD are pushed apart; α of CoMeDi."""
    mixed_play_weight: PresetReal = None
    """β of CoMeDi, how much mixed-play counts."""
    entropies: Annotated[tuple[float, ...] | None, arg(metavar="FLOAT …", help_behavior_hint=_BY_PRESET)] = None
    """The entropy bonuses of `sp-sweep`."""
    sides: Annotated[Literal["single", "both"] | None, arg(metavar="{single,both}", help_behavior_hint=_BY_PRESET)] = (
        None
    )
    """Each role in its own seat, or every edge from both seats."""
    victim_self_play: PresetReal = None
    """Weight of the victim's (protagonist's) self-play in its own objective, in AT and PAIRED."""
    antagonist: Annotated[
        Literal["separate", "adversary"] | None, arg(metavar="{separate,adversary}", help_behavior_hint=_BY_PRESET)
    ] = None
    """In PAIRED: a separate antagonist, or the adversary itself."""
    victim: Annotated[str | None, _AGENT] = None
    """The fixed victim of an attack: RUN:AGENT, RUN:SEED:AGENT or RUN:AGENT@UPDATE, a .safetensors file,
    jaxmarl:FILE.safetensors, FILE.py:NAME, scripted:NAME, 'uniform', or probabilities '[0.5, 0.5]'."""
    partner: Annotated[str | None, _AGENT] = None
    """The fixed partner of `br`, given like --victim."""

    network: Annotated[
        Literal["tabular", "mlp", "cnn", "gru"] | None,
        arg(metavar="{tabular,mlp,cnn,gru}", help_behavior_hint=_BY_PRESET),
    ] = None
    """Policies and critics: a table (softmax) over the game's states, fully connected layers, convolutions before them
    (for images), or a recurrent unit after them (policies only, for games that need memory)."""
    hidden_sizes: Annotated[tuple[int, ...] | None, arg(metavar="INT …", help_behavior_hint=_BY_PRESET)] = None
    """Widths of the fully connected layers."""
    activation: Annotated[Literal["tanh", "relu"] | None, arg(metavar="{tanh,relu}", help_behavior_hint=_BY_PRESET)] = (
        None
    )
    """What follows each hidden layer."""
    channels: Annotated[tuple[int, ...] | None, arg(metavar="INT …", help_behavior_hint=_BY_PRESET)] = None
    """Channels of the CNN's 3×3 convolutions."""
    memory_units: PresetInt = None
    """Size of the GRU's memory."""
    lookahead: PresetInt = None
    """N, differentiable base updates that a manipulator differentiates through."""
    lookahead_rate: PresetReal = None
    """α1, learning rate of the lookahead."""
    manipulator_rate: PresetReal = None
    """α2, learning rate of the manipulators."""
    base_rate: PresetReal = None
    """α3, learning rate of the base agents."""
    critic_rate: PresetReal = None
    """Learning rate of the critics."""
    base_optimizer: PresetOptimizer = None
    """Optimiser of the base agents and of their lookahead."""
    manipulator_optimizer: PresetOptimizer = None
    """Optimiser of the manipulators."""
    critic_optimizer: PresetOptimizer = None
    """Optimiser of the critics."""
    base_update: Annotated[Literal["pg", "ppo"] | None, arg(metavar="{pg,ppo}", help_behavior_hint=_BY_PRESET)] = None
    """The base agents' real step: one plain policy-gradient step (the paper's), or PPO. The lookahead stays plain."""
    ppo_epochs: PresetInt = None
    """How often PPO goes through a batch."""
    ppo_minibatches: PresetInt = None
    """In how many parts PPO takes a batch; must divide --envs."""
    ppo_clip: PresetReal = None
    """How far PPO lets a probability ratio move from 1."""
    base_epsilon_root: PresetReal = None
    """ε_root of the base agents' Adam, m̂ / (√(v̂ + ε_root) + 1e-5), which the lookahead differentiates."""
    manipulator_epsilon: PresetReal = None
    """ε of the manipulators' Adam, m̂ / (√v̂ + ε); their gradients are small."""
    base_max_norm: PresetReal = None
    """Largest gradient norm of a base agent's real step, 0 for no limit; the lookahead is never clipped."""
    manipulator_max_norm: PresetReal = None
    """Largest gradient norm of a manipulator's step, 0 for no limit."""

    envs: PresetInt = None
    """Parallel environments of each pairing, on average."""
    steps: PresetInt = None
    """Steps of a rollout chunk."""
    sampling: Annotated[
        Literal["uniform", "weighted"] | None, arg(metavar="{uniform,weighted}", help_behavior_hint=_BY_PRESET)
    ] = None
    """The same environments for every pairing, or in proportion to the weights of its edges."""
    discount: PresetReal = None
    """γ."""
    gae_decay: PresetReal = None
    """λ of GAE."""
    dice_decay: PresetReal = None
    """λ of Loaded DiCE."""
    outer_average: PresetReal = None
    """Decay of a running average of the outer gradients that steer the manipulators; 0 takes each update's own."""
    entropy: PresetReal = None
    """β, coefficient of the base agents' entropy bonus; given alone, it stays so, whatever the preset does."""
    entropy_start: PresetReal = None
    """What β falls from, to --entropy, over --entropy-updates."""
    entropy_updates: PresetInt = None
    """After how many updates β has fallen linearly from --entropy-start; 0: it is --entropy throughout."""
    manipulator_entropy: PresetReal = None
    """Coefficient of the manipulators' entropy bonus."""
    shaping: PresetReal = None
    """Coefficient of the environment's shaped reward in training."""
    shaping_updates: PresetInt = None
    """After how many updates the shaped reward is gone, falling linearly; 0 keeps it."""
    exploring_starts: PresetReal = None
    """Share of training episodes that begin anywhere in the game: where it says, or where random play came to."""
    symmetries: PresetFlag = None
    """Draw one of the game's symmetries for each training episode, through which seat 1 sees and acts (Other-Play)."""
    normalize: PresetFlag = None
    """Normalise advantages, pooled over everything a learner learns from."""
    manipulator_gradient: Annotated[
        Literal["closed-form", "autodiff"] | None, arg(metavar="{closed-form,autodiff}", help_behavior_hint=_BY_PRESET)
    ] = None
    """Influence credits, or autodiff through the lookahead."""
    influence: Annotated[
        Literal["shaped", "joint"] | None, arg(metavar="{shaped,joint}", help_behavior_hint=_BY_PRESET)
    ] = None
    """Exact mode: differentiate through the shaped base agent's lookahead only, or through everybody's."""
    precision: Annotated[
        Literal["float32", "float64"] | None, arg(metavar="{float32,float64}", help_behavior_hint=_BY_PRESET)
    ] = None
    """Arithmetic; exact mode uses float64 unless told otherwise."""

    log_every: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: 200 lines a run)")] = None
    """Updates between two lines of metrics."""
    checkpoint_minutes: float = 5.0
    """Minutes between two checkpoints."""
    checkpoints_kept: int = 2
    """How many checkpoints are kept, the latest."""
    snapshots: int = 0
    """How many policies of each base agent are kept on the way, evenly spaced, beside those of update 0; for agents
    named RUN:AGENT@UPDATE."""
    evaluation_episodes: int = 1000
    """Episodes a pairing in the final evaluation, where returns cannot be computed exactly."""
    sinks: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Where metrics go besides the run directory's own files (extras rpax[tensorboard], rpax[wandb])."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) is not None:
                continue
            if field.default_factory is not dataclasses.MISSING:
                object.__setattr__(self, field.name, field.default_factory())
            elif field.default is not dataclasses.MISSING:
                object.__setattr__(self, field.name, field.default)
        for name in _LISTS:
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        for name in FIELDS:
            value = getattr(self, name)
            if value is not None:
                _check(name, value)
        _check("seeds", self.seed_list)

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds that are trained."""
        return self.seeds if isinstance(self.seeds, tuple) else tuple(range(self.seed, self.seed + self.seeds))

    def complete(self, *, tabular: bool = True) -> "TrainConfig":
        """This configuration with every open setting filled in from its preset.

        Args:
            tabular: whether the environment is a tabular game, which has presets of its own.
        """
        values = preset_values(self.preset, self.environment, exact=self.exact, network=self.network, tabular=tabular)
        given = {name: getattr(self, name) for name in FIELDS}
        given["environment_options"] = {**values.get("environment_options", {}), **self.environment_options}
        filled = {**values, **{name: value for name, value in given.items() if value is not None}}
        if filled.get("log_every") is None:
            filled["log_every"] = max(1, filled["updates"] // 200)
        return TrainConfig(**filled)


FIELDS = tuple(field.name for field in dataclasses.fields(TrainConfig))

_WHOLE, _REAL, _FLAG, _TEXT = "a whole number", "a number", "true or false", "text"
_POSITIVE_INTS = ("updates", "lookahead", "envs", "steps", "log_every", "ppo_epochs", "ppo_minibatches", "memory_units")
_RATES = ("lookahead_rate", "manipulator_rate", "base_rate", "critic_rate", "ppo_clip")
_EPSILONS = ("base_epsilon_root", "manipulator_epsilon")
_AT_LEAST_ZERO = (
    "crossplay_weight",
    "mixed_play_weight",
    "entropy",
    "entropy_start",
    "manipulator_entropy",
    "shaping",
    "base_max_norm",
    "manipulator_max_norm",
)
_ZERO_TO_ONE = ("discount", "gae_decay", "dice_decay", "exploring_starts")
_ZERO_TO_LESS_THAN_ONE = ("partner_play", "victim_self_play", "outer_average")
_CHOICES: dict[str, tuple[str, ...]] = {
    "preset": PRESETS,
    "sides": ("single", "both"),
    "antagonist": ("separate", "adversary"),
    "network": ("tabular", "mlp", "cnn", "gru"),
    "activation": ("tanh", "relu"),
    "base_update": ("pg", "ppo"),
    "sampling": ("uniform", "weighted"),
    "base_optimizer": ("sgd", "adam"),
    "manipulator_optimizer": ("sgd", "adam"),
    "critic_optimizer": ("sgd", "adam"),
    "manipulator_gradient": ("closed-form", "autodiff"),
    "influence": ("shaped", "joint"),
    "precision": ("float32", "float64"),
}
#: Settings that YAML and JSON hold as lists.
_LISTS = ("hidden_sizes", "channels", "sinks", "seeds", "entropies")
_MOST_UNITS, _MOST_SEEDS, _MOST_SNAPSHOTS = 65_536, 10_000, 1000


def _check(name: str, value: Any) -> None:
    """Refuse a value of the wrong type or out of range, with the rule in the message."""
    rule = _rule_broken(name, value)
    if rule is not None:
        raise InputError(f"{name} {shown(value)} is not allowed; give {rule}")


def _rule_broken(name: str, value: Any) -> str | None:
    """The rule that ``value`` breaks, in words, or ``None``."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    real = (whole or isinstance(value, float)) and abs(value) <= sys.float_info.max
    if name in _CHOICES:
        return None if value in _CHOICES[name] else f"one of {', '.join(_CHOICES[name])}"
    if name in _POSITIVE_INTS:
        return None if whole and 1 <= value < 2**31 else f"{_WHOLE} of at least 1"
    if name in ("shaping_updates", "entropy_updates"):
        return None if whole and 0 <= value < 2**31 else f"{_WHOLE} of at least 0"
    if name in ("population", "evaluation_episodes"):  # one episode says nothing about how sure its return is
        return None if whole and 2 <= value < 2**31 else f"{_WHOLE} of at least 2"
    if name == "snapshots":
        return None if whole and 0 <= value <= _MOST_SNAPSHOTS else f"{_WHOLE} from 0 to {_MOST_SNAPSHOTS}"
    if name == "checkpoints_kept":
        return None if whole and 1 <= value < 2**31 else f"{_WHOLE} of at least 1"
    if name == "seed":
        return None if whole and 0 <= value < 2**32 else f"{_WHOLE} from 0 to 2³²−1"
    if name == "seeds":
        if isinstance(value, tuple):
            good = value and all(_rule_broken("seed", seed) is None for seed in value) and len(set(value)) == len(value)
        else:
            good = isinstance(value, int) and whole and 1 <= value <= _MOST_SEEDS
        return None if good else f"how many seeds, from 1 to {_MOST_SEEDS}, or a list of different ones"
    if name in _RATES or name in _EPSILONS:
        return None if real and value > 0 else f"{_REAL} above 0"
    if name in _AT_LEAST_ZERO:
        return None if real and value >= 0 else f"{_REAL} of at least 0"
    if name in _ZERO_TO_ONE:
        return None if real and 0 <= value <= 1 else f"{_REAL} from 0 to 1"
    if name in _ZERO_TO_LESS_THAN_ONE:
        return None if real and 0 <= value < 1 else f"{_REAL} from 0 to less than 1"
    if name in ("minutes", "checkpoint_minutes"):
        return None if real and value > 0 else "a number of minutes above 0"
    if name in ("exact", "normalize", "symmetries"):
        return None if isinstance(value, bool) else _FLAG
    if name == "environment_options":
        if not isinstance(value, dict):
            return "a mapping like {horizon: 20}"
        return None if _is_plain(value) else "options that YAML can hold: numbers, text, lists and mappings"
    if name in ("hidden_sizes", "channels"):
        sizes = isinstance(value, tuple) and value and all(type(v) is int and 1 <= v <= _MOST_UNITS for v in value)
        return None if sizes else f"a list of layer widths like {'64 64' if name == 'hidden_sizes' else '32 32'}"
    if name == "entropies":
        listed = isinstance(value, tuple) and value and all(_rule_broken("entropy", v) is None for v in value)
        return None if listed else "a list of entropy bonuses like 0.01 0.05 0.1"
    if name == "sinks":
        known = isinstance(value, tuple) and all(sink in ("tensorboard", "wandb") for sink in value)
        return None if known else "a list of tensorboard and wandb"
    return None if isinstance(value, str) or name == "payoffs" else _TEXT


def _is_plain(value: Any) -> bool:
    """Whether YAML can hold ``value`` and give it back."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(entry) for key, entry in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def config_from_dict(values: Mapping[str, Any], where: str = "setting") -> TrainConfig:
    """A configuration from plain data.

    Raises:
        InputError: an unknown key (with the nearest known one), a missing one, or a value that is not allowed.
    """
    for name in values:
        if name not in FIELDS:
            raise InputError(f"{where} {shown(name)} is unknown; {suggestion(str(name), FIELDS)}")
    for name in ("algorithm", "environment"):
        if not values.get(name):
            raise InputError(f"{where} '{name}' is missing; see `rpax list` for the names")
    return TrainConfig(**values)


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """A configuration as plain data that YAML and JSON can hold."""
    values = dataclasses.asdict(config)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def read_settings(path: str | pathlib.Path) -> dict[str, Any]:
    """The settings in a YAML file: keys as in :class:`TrainConfig`, unknown ones refused.

    Raises:
        InputError: the file cannot be read, is no YAML mapping, or has a key that does not exist or a value that is not
            allowed.
    """
    content = read_yaml(path, "config file", "lookahead: 4")
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise InputError(f"config file {path}: {shown(content)} is not a mapping; write lines like 'lookahead: 4'")
    content = {name.replace("-", "_") if isinstance(name, str) else name: value for name, value in content.items()}
    for name in content:
        if name not in FIELDS:
            raise InputError(f"config file {path}: key {shown(name)} is unknown; {suggestion(str(name), FIELDS)}")
    try:
        for name, value in content.items():
            if value is not None:
                _check(name, tuple(value) if isinstance(value, list) and name in _LISTS else value)
    except InputError as error:
        raise InputError(f"config file {path}: {error}") from None
    return dict(content)


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, Any]:
    """The settings in ``KEY=VALUE`` strings; values are read as YAML, so numbers and lists work.

    A dot leads into the options of the environment.

    >>> parse_assignments(("lookahead=4", "environment_options.horizon=40"))
    {'lookahead': 4, 'environment_options': {'horizon': 40}}
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, value = _assignment(assignment, "--set", "lookahead=4")
        name, dot, option = name.replace("-", "_").partition(".")
        if name not in FIELDS:
            raise InputError(f"--set key {shown(name)} is unknown; {suggestion(name, FIELDS)}")
        if not dot:
            if name == "environment_options":
                _check(name, value)
            values[name] = value
        elif name == "environment_options":
            values.setdefault(name, {})[option] = value
        else:
            raise InputError(f"--set key {shown(f'{name}.{option}')}: {name} has no parts; write --set {name}=…")
    return values


def parse_options(assignments: tuple[str, ...]) -> dict[str, Any]:
    """Options of the environment in ``KEY=VALUE`` strings.

    >>> parse_options(("horizon=40", "coins=shuffled"))
    {'horizon': 40, 'coins': 'shuffled'}
    """
    pairs = (_assignment(assignment, "--option", "horizon=40") for assignment in assignments)
    return {name.replace("-", "_"): value for name, value in pairs}


def _assignment(assignment: str, option: str, example: str) -> tuple[str, Any]:
    name, equals, text = assignment.partition("=")
    name = name.strip()
    if not equals:
        raise InputError(f"{option} {shown(assignment)} has no '='; write {option} {example}")
    if not text.strip():
        raise InputError(f"{option} {name}: the value is empty; write one, as in {option} {example}")
    if "\n" in text.strip("\n"):  # a drawing, whose lines YAML would join
        return name, text
    try:
        return name, parse_yaml(text)
    except (yaml.YAMLError, ValueError):
        raise InputError(f"{option} {name}: {shown(text)} is not a YAML value; quote lists, like '[64, 64]'") from None
