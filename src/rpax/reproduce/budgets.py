"""How much each budget does: settings of a kind of environment for every training in it.

``paper`` is the paper's Table 3 at its full length, which needs a GPU and days. ``laptop`` is the `fast` preset without
what changes a comparison: no exploring starts and a constant entropy bonus, the same for all algorithms, for as many
updates as two cores make in minutes. ``smoke`` shows in seconds that everything runs, and nothing else.
"""

from collections.abc import Mapping
from typing import Any

from rpax.reproduce.study import Budget

_SMOKE: dict[str, Any] = {
    "updates": 2,
    "envs": 4,
    "steps": 4,
    "hidden_sizes": (8, 8),
    "evaluation_episodes": 4,
}
OVERCOOKED: Mapping[Budget, Mapping[str, Any]] = {
    "smoke": {**_SMOKE, "exploring_starts": 0.0, "entropy": 0.01, "environment_options": {"horizon": 12}},
    "laptop": {"exploring_starts": 0.0, "entropy": 0.01, "updates": 1500},
    "paper": {"preset": "paper"},
}
STORM: Mapping[Budget, Mapping[str, Any]] = {
    "smoke": _SMOKE,
    "laptop": {"updates": 4000},
    "paper": {"preset": "paper"},
}
HANABI: Mapping[Budget, Mapping[str, Any]] = {
    "smoke": _SMOKE,
    "laptop": {"entropy": 0.01, "updates": 2000},
    "paper": {"preset": "paper"},
}
