"""Presets: the values that settings take where the user gives none.

``paper`` is the paper's Table 3 (γ, λ and learning rates; chunk sizes are the reference implementation's). ``fast`` is
what was found here to reach good quality soonest on a laptop; ``docs/matrix-games.md`` says how it was found.
"""

from typing import Any

from rpax.errors import InputError

PRESETS = ("fast", "paper")
#: The settings that vary a catalogue algorithm; a complete configuration leaves those open that its own does not take.
ALGORITHM_OPTIONS = (
    "partner_play",
    "crossplay_weight",
    "population",
    "sides",
    "victim_self_play",
    "antagonist",
    "mixed_play_weight",
    "entropies",
)

_COMMON: dict[str, Any] = {
    "hidden_sizes": (64, 64),
    "activation": "tanh",
    "channels": (32, 32),
    "memory_units": 64,
    "base_update": "pg",
    "ppo_epochs": 4,
    "ppo_minibatches": 4,
    "ppo_clip": 0.2,
    "entropy": 0.0,
    "entropy_start": 0.0,
    "entropy_updates": 0,
    "manipulator_entropy": 0.0,
    "shaping": 1.0,
    "shaping_updates": 0,
    "exploring_starts": 0.0,
    "symmetries": False,
    "normalize": True,
    "manipulator_gradient": "closed-form",
    "influence": "shaped",
    "outer_average": 0.0,
    "sampling": "uniform",
    "base_epsilon_root": 1e-5,
    "manipulator_epsilon": 1e-5,
    "base_max_norm": 0.0,
    "manipulator_max_norm": 0.0,
    "population": 2,
    "mixed_play_weight": 0.5,
    "entropies": (0.01, 0.05, 0.1),
    "victim_self_play": 0.0,
    "antagonist": "separate",
}

_MATRIX_PAPER: dict[str, Any] = {
    "network": "mlp",
    "base_optimizer": "sgd",
    "manipulator_optimizer": "sgd",
    "critic_optimizer": "sgd",
    "lookahead": 1,
    "lookahead_rate": 1e-1,
    "manipulator_rate": 1e-2,
    "base_rate": 1e-2,
    "critic_rate": 5e-2,
    "manipulator_max_norm": 0.5,
    "envs": 128,
    "steps": 1,
    "discount": 0.95,
    "gae_decay": 0.95,
    "dice_decay": 0.95,
    "partner_play": 0.0,
    "crossplay_weight": 0.25,
    "sides": "single",
    "updates": 781,  # 1e5 steps of one pairing in chunks of 128 environments × 1 step
}

_MATRIX_FAST = _MATRIX_PAPER | {
    "network": "tabular",
    "manipulator_max_norm": 0.0,
    "crossplay_weight": 1.0,
    "lookahead": 4,
}
#: (exact, network) -> learning rates and updates. An MLP's logits move several times as far for the same rate.
_FAST_RATES: dict[tuple[bool, str], dict[str, Any]] = {
    (True, "tabular"): {"lookahead_rate": 1.0, "manipulator_rate": 5.0, "base_rate": 0.05, "updates": 4000},
    (False, "tabular"): {"lookahead_rate": 0.5, "manipulator_rate": 1.0, "base_rate": 0.02, "updates": 4000},
    (True, "mlp"): {"lookahead_rate": 0.2, "manipulator_rate": 0.5, "base_rate": 0.005, "updates": 4000},
    (False, "mlp"): {"lookahead_rate": 0.1, "manipulator_rate": 0.2, "base_rate": 0.004, "updates": 3000},
}


#: Deep environments in the paper (Table 3; critic's rate, chunk and total length are the reference implementation's).
_DEEP: dict[str, Any] = {
    "network": "mlp",
    "base_optimizer": "adam",
    "manipulator_optimizer": "adam",
    "critic_optimizer": "adam",
    "base_max_norm": 0.5,
    "manipulator_max_norm": 0.5,
    "lookahead": 1,
    "discount": 0.99,
    "gae_decay": 0.99,
    "dice_decay": 0.99,
    "entropy": 0.01,
    "partner_play": 0.1,
    "crossplay_weight": 0.25,
    "sides": "both",
}
_STORM_PAPER = _DEEP | {
    "lookahead_rate": 4e-4,
    "manipulator_rate": 8e-3,
    "base_rate": 1e-4,
    "critic_rate": 5e-3,
    "envs": 256,
    "steps": 80,
    "partner_play": 0.15,
    "updates": 14_648,  # 3e8 steps of one pairing
}
_OVERCOOKED_PAPER = _DEEP | {
    "lookahead_rate": 2e-4,
    "manipulator_rate": 1e-3,
    "base_rate": 2e-4,
    "critic_rate": 5e-4,
    "envs": 512,
    "steps": 128,
    "updates": 91_552,  # 6e9 steps of one pairing
}
_HANABI_PAPER = _DEEP | {
    "hidden_sizes": (512, 512),
    "activation": "relu",
    "lookahead_rate": 5e-3,
    "manipulator_rate": 2.5e-3,
    "base_rate": 5e-3,
    "critic_rate": 5e-4,
    "envs": 128,
    "steps": 128,
    "updates": 12_207,  # 2e8 steps of one pairing
}
#: What was found here; docs/environments.md says how.
_STORM_FAST = _STORM_PAPER | {
    "activation": "relu",
    "envs": 64,
    "base_epsilon_root": 1e-10,
    "lookahead_rate": 3e-3,
    "manipulator_rate": 2e-3,
    "manipulator_epsilon": 1e-8,
    "manipulator_entropy": 1e-4,
    "critic_rate": 1e-3,
    "dice_decay": 0.9,
    "outer_average": 0.98,
    "crossplay_weight": 0.5,
    "partner_play": 0.05,
    "sampling": "weighted",
    "updates": 4000,
}
_OVERCOOKED_FAST = _OVERCOOKED_PAPER | {
    "activation": "relu",
    "envs": 16,
    "exploring_starts": 1.0,
    "entropy_start": 0.1,
    "entropy_updates": 800,
    "discount": 0.98,
    "sampling": "weighted",
    "base_update": "ppo",
    "base_rate": 5e-4,
    "base_epsilon_root": 1e-10,
    "lookahead_rate": 1e-3,
    "manipulator_epsilon": 1e-8,
    "critic_rate": 1e-3,
    "gae_decay": 0.95,
    "dice_decay": 0.9,
    "outer_average": 0.98,
    "updates": 2000,
}
_HANABI_FAST = _HANABI_PAPER | {
    "hidden_sizes": (128, 128),
    "envs": 64,
    "base_update": "ppo",
    "base_rate": 1e-3,
    "base_epsilon_root": 1e-10,
    "critic_rate": 1e-3,
    "entropy": 0.03,
    "gae_decay": 0.95,
    "updates": 1000,
}
_FAMILIES: dict[str, dict[str, dict[str, Any]]] = {
    "storm": {"paper": _STORM_PAPER, "fast": _STORM_FAST},
    "overcooked": {
        "paper": _OVERCOOKED_PAPER | {"environment_options": {"shaping": "paper"}},
        "fast": _OVERCOOKED_FAST,
    },
    "overcooked_v2": {
        "paper": _OVERCOOKED_PAPER,
        "fast": _OVERCOOKED_FAST | {"sampling": "uniform", "exploring_starts": 0.0},
    },
    "hanabi": {"paper": _HANABI_PAPER, "fast": _HANABI_FAST},
}
#: For environments registered by users: the paper's settings for grid worlds with fewer environments, and Overcooked's
#: `fast` ones without what was measured there only.
_CUSTOM = {
    "paper": _STORM_PAPER | {"envs": 64, "updates": 1000},
    "fast": _OVERCOOKED_FAST
    | {"sampling": "uniform", "exploring_starts": 0.0, "entropy_updates": 0, "discount": 0.99, "updates": 1000},
}


def preset_values(
    name: str, environment: str, *, exact: bool, network: str | None = None, tabular: bool = True
) -> dict[str, Any]:
    """The settings of a preset for an environment, a mode and a kind of network (``None``: the preset's own).

    Raises:
        InputError: there is no such preset.
    """
    if name not in PRESETS:
        raise InputError(f"preset '{name}' is unknown; use {' or '.join(PRESETS)}")
    values = _COMMON | {"precision": "float64" if exact else "float32"}
    if not tabular:
        family = environment.partition("/")[0]
        return values | _FAMILIES.get(family, _CUSTOM)[name]
    if name == "paper":
        values |= _MATRIX_PAPER
    else:
        # Whether a network makes sense in a tabular game is checked where the game is known.
        kind = "tabular" if (network or _MATRIX_FAST["network"]) == "tabular" else "mlp"
        values |= _MATRIX_FAST | _FAST_RATES[exact, kind]
    if not environment.startswith("matrix/"):
        values |= {"steps": 8}
    return values
