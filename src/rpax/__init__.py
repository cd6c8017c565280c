"""Rational Policy Gradient in JAX: adversarial multi-agent training without self-sabotage.

Names are imported when they are first used, so that ``import rpax`` and ``rpax --help`` stay fast.
"""

import importlib
import time
from typing import TYPE_CHECKING

from rpax._version import __version__

if TYPE_CHECKING:
    from rpax import estimators as estimators
    from rpax.environments.protocol import Environment as Environment
    from rpax.environments.protocol import SeatSpace as SeatSpace
    from rpax.environments.protocol import Transition as Transition
    from rpax.environments.registry import make as make
    from rpax.environments.registry import register as register
    from rpax.errors import InputError as InputError
    from rpax.evaluation.rationality import Rationality as Rationality
    from rpax.evaluation.rationality import rationality as rationality
    from rpax.objectives import Objective as Objective
    from rpax.objectives import ObjectiveEdge as ObjectiveEdge
    from rpax.objectives import algorithm as algorithm
    from rpax.objectives import load_objective as load_objective
    from rpax.policies.functions import jax_policy as jax_policy
    from rpax.policies.jaxmarl_files import flax_policy as flax_policy
    from rpax.policies.scripted import register_partner as register_partner
    from rpax.recordings.recording import Recording as Recording
    from rpax.recordings.recording import record as record
    from rpax.reports.replay import replay as replay
    from rpax.runs.attack import Attack as Attack
    from rpax.runs.attack import attack as attack
    from rpax.runs.certify import certify as certify
    from rpax.runs.cross_play import cross_play as cross_play
    from rpax.runs.run import Run as Run
    from rpax.runs.run import load as load
    from rpax.runs.run import resume as resume
    from rpax.runs.run import train as train

#: When this process began to use the package, in seconds as file times are.
IMPORTED_AT = time.time()

#: public name -> module that defines it
_PUBLIC = {
    "Attack": "rpax.runs.attack",
    "Environment": "rpax.environments.protocol",
    "InputError": "rpax.errors",
    "Objective": "rpax.objectives",
    "ObjectiveEdge": "rpax.objectives",
    "Rationality": "rpax.evaluation.rationality",
    "Recording": "rpax.recordings.recording",
    "Run": "rpax.runs.run",
    "SeatSpace": "rpax.environments.protocol",
    "Transition": "rpax.environments.protocol",
    "algorithm": "rpax.objectives",
    "attack": "rpax.runs.attack",
    "certify": "rpax.runs.certify",
    "cross_play": "rpax.runs.cross_play",
    "flax_policy": "rpax.policies.jaxmarl_files",
    "jax_policy": "rpax.policies.functions",
    "load": "rpax.runs.run",
    "load_objective": "rpax.objectives",
    "make": "rpax.environments.registry",
    "rationality": "rpax.evaluation.rationality",
    "record": "rpax.recordings.recording",
    "register": "rpax.environments.registry",
    "register_partner": "rpax.policies.scripted",
    "replay": "rpax.reports.replay",
    "resume": "rpax.runs.run",
    "train": "rpax.runs.run",
}

__all__ = ["__version__", "estimators", *_PUBLIC]


def __getattr__(name: str) -> object:
    if name == "estimators":
        return importlib.import_module("rpax.estimators")
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'rpax' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
