"""Traced programs, kept beside the compiled ones, so that a warm start need not trace an update again.

Tracing and lowering an update of a deep environment takes several seconds, reading it back a fifth of one. A file holds
what JAX exports: the program in StableHLO and the structure of its results. It is named after everything that the
program is made from, this package's own source included.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import jax
from jax import export

from rpax.environments.registry import check_environment_name
from rpax.runs.compilation_cache import folder_in_use
from rpax.runs.config import TrainConfig, config_to_dict
from rpax.training.metrics import StepMetrics
from rpax.training.problem import Problem, TrainState
from rpax.training.trainer import Advance, Report

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "jaxmarl")
#: Settings of a run that its program does not depend on.
_NOT_IN_PROGRAMS = ("updates", "seed", "seeds", "out", "sinks", "minutes", "checkpoint_minutes", "log_every")
#: Settings of JAX that say where something is kept or written, not what is computed.
_NOT_IN_RESULTS = ("cache", "log", "dump", "traceback", "profiler")

for _part in (Report, StepMetrics):
    export.register_namedtuple_serialization(_part, serialized_name=f"{_part.__module__}.{_part.__qualname__}")


@dataclasses.dataclass(frozen=True)
class TracedPrograms:
    """The kept programs of one training run.

    Attributes:
        about: everything that they depend on besides JAX's settings.
    """

    about: str

    @classmethod
    def of(cls, config: TrainConfig, problem: Problem) -> "TracedPrograms | None":
        """Those of a run in an environment that was made by its name.

        ``None`` where the program depends on more than the settings and this package's source: with fixed agents, whose
        parameters are in it, and with environments registered by users. For processors only, untried elsewhere.
        """
        built_in = isinstance(check_environment_name(config.environment).factory, str)
        if problem.fixed or not built_in or jax.default_backend() != "cpu":
            return None
        settings = {name: value for name, value in config_to_dict(config).items() if name not in _NOT_IN_PROGRAMS}
        made_with = dict(problem.environment.made_with)
        return cls(repr((settings, made_with, problem.plan.objective, len(config.seed_list), _source())))

    def keep(self, advance: Advance) -> Advance:
        """``jax.jit(advance, donate_argnums=0)``, traced only if no file holds it."""
        program: list[Callable[..., Any]] = []

        def kept(state: TrainState, updates: Any) -> tuple[TrainState, Report]:
            leaves, structure = jax.tree.flatten(state)
            if not program:
                program.append(self._load_or_trace(advance, structure, leaves, updates))
            leaves, report = program[0](leaves, updates)
            return jax.tree.unflatten(structure, leaves), _by_seat(report, int)

        return kept

    def _load_or_trace(self, advance: Advance, structure: Any, leaves: list[Any], updates: Any) -> Callable[..., Any]:
        def of_leaves(leaves: list[Any], updates: Any) -> tuple[list[Any], Report]:
            state, report = advance(jax.tree.unflatten(structure, leaves), updates)
            return jax.tree.leaves(state), _by_seat(report, str)

        folder = folder_in_use()
        if folder is None:
            return jax.jit(of_leaves, donate_argnums=0)
        file = folder / "traced" / self._digest(leaves)
        exported = _read(file)
        if exported is None:
            exported = export.export(jax.jit(of_leaves))(leaves, updates)
            _write(file, exported.serialize())
        return jax.jit(exported.call, donate_argnums=0)

    def _digest(self, leaves: list[Any]) -> str:
        arguments = [(leaf.shape, str(leaf.dtype), _spread(leaf)) for leaf in leaves]
        settings = sorted(
            (name, value) for name, value in jax.config.values.items() if not any(w in name for w in _NOT_IN_RESULTS)
        )
        return hashlib.sha256(repr((self.about, arguments, settings, jax.device_count())).encode()).hexdigest()


def _spread(leaf: Any) -> str:
    """How an array is spread over several devices."""
    several = isinstance(leaf, jax.Array) and len(leaf.sharding.device_set) > 1
    return str(leaf.sharding) if several else ""


def _by_seat(report: Report, kind: Callable[[Any], Any]) -> Report:
    """The report with the seats of policies as ``kind``: the keys of exported dicts are text."""
    policies = {name: {kind(seat): table for seat, table in its.items()} for name, its in report.policies.items()}
    return report._replace(policies=policies)


def _read(file: pathlib.Path) -> export.Exported | None:
    """What a file holds; ``None`` if there is none, or it is damaged."""
    try:
        return export.deserialize(bytearray(file.read_bytes()))
    except OSError:
        return None
    except Exception:  # The format's reader fails in any way on damaged files.
        return None


def _write(file: pathlib.Path, content: bytes | bytearray) -> None:
    """Whole or not at all. A cache that cannot be written is no reason to stop."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as temporary:
            temporary.write(content)
        os.replace(temporary.name, file)
    except OSError:
        return


@functools.cache
def _source() -> str:
    """A digest of this package's source and the versions of what it is built on."""
    import rpax

    digest = hashlib.sha256(sys.version.encode())
    for name in _PACKAGES:
        digest.update(f"{name} {importlib.metadata.version(name)}".encode())
    for file in sorted(pathlib.Path(os.fspath(rpax.__path__[0])).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
