"""Time an update, its compilation and its phases on one algorithm, environment and size."""

import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from rpax.benchmark.phases import phase_shares
from rpax.benchmark.stopwatch import host_overhead, time_updates
from rpax.objectives.edges import Objective
from rpax.runs.config import TrainConfig
from rpax.runs.session import make_environment, make_trainer, resolve_fixed
from rpax.training.problem import Problem, TrainState
from rpax.training.setup import make_problem
from rpax.training.trainer import Trainer


@contextlib.contextmanager
def _cache_settings(**settings: Any) -> Iterator[None]:
    """JAX's settings of compiled programs, for a while."""
    from jax.experimental.compilation_cache import compilation_cache

    before = {name: getattr(jax.config, name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        # The cache object remembers whether there is one, and its folder.
        compilation_cache.reset_cache()
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One configuration, measured.

    Attributes:
        lookahead: N.
        envs: parallel environments of each pairing.
        steps: steps of a chunk.
        manipulator_gradient: closed form or autodiff.
        compile_seconds: tracing, lowering and compiling the update, nothing cached; median over the compilations.
        cold_start_seconds: from nothing in this process to the first update done, nothing cached.
        warm_start_seconds: the same with filled caches of compiled and traced programs.
        seconds_per_update: median over the repetitions, all seeds together.
        slowest: of the repetitions.
        fastest: of the repetitions.
        env_steps_per_second: steps of all pairings (lookahead and outer) and seeds per second; 0 in exact mode.
        program_bytes: what the compiled update needs: arguments, results and temporaries.
        host_overhead_seconds: what a call of the update program costs besides its updates; see
            :func:`rpax.benchmark.stopwatch.host_overhead`.
        phases: share of an update's time by phase, see :func:`rpax.benchmark.phases.phase_shares`.
    """

    lookahead: int
    envs: int
    steps: int
    manipulator_gradient: str
    compile_seconds: float
    cold_start_seconds: float | None
    warm_start_seconds: float | None
    seconds_per_update: float
    slowest: float
    fastest: float
    env_steps_per_second: float
    program_bytes: int
    host_overhead_seconds: float | None
    phases: dict[str, float]


# A cached program would make compilation look free.
@_cache_settings(jax_enable_compilation_cache=False)
def measure(
    config: TrainConfig,
    objective: Objective,
    repetitions: int,
    *,
    compilations: int = 1,
    phases: bool = True,
    tell: Callable[[str], None] = lambda stage: None,
) -> Measurement:
    """Measure one complete configuration.

    Args:
        config: what is measured.
        objective: the objective it names.
        repetitions: how often everything but compilation is timed.
        compilations: how often compilation is timed.
        phases: time starts, phases and the host's overhead too, which takes several compilations more.
        tell: called with the name of each stage before it begins.
    """
    trainer = _trainer(config, objective)
    problem = trainer.problem
    tell("compiling")
    state = trainer.init()
    compiled, compile_seconds = _compile(config, objective, state, compilations)
    tell("timing updates")
    with trainer.precision_context():
        times = time_updates(compiled, state, repetitions)
        per_update = statistics.median(times)
        overhead = host_overhead(compiled, trainer.init(), per_update, repetitions) if phases else None
    memory = compiled.memory_analysis()
    in_phases = phases and not config.exact
    cold, warm = _starts(config, objective, tell) if in_phases else (None, None)
    steps = 0 if config.exact else env_steps_of_update(problem) * len(trainer.seeds)
    return Measurement(
        lookahead=problem.numbers.lookahead,
        envs=config.envs or 0,
        steps=problem.numbers.steps,
        manipulator_gradient=problem.numbers.manipulator_gradient,
        compile_seconds=statistics.median(compile_seconds),
        cold_start_seconds=cold,
        warm_start_seconds=warm,
        seconds_per_update=per_update,
        slowest=max(times),
        fastest=min(times),
        env_steps_per_second=steps / per_update,
        program_bytes=memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes,
        host_overhead_seconds=overhead,
        phases=phase_shares(trainer, per_update, repetitions, tell) if in_phases else {"update": 1.0},
    )


def _compile(
    config: TrainConfig, objective: Objective, state: TrainState, compilations: int
) -> tuple[Any, list[float]]:
    """The compiled update, and the seconds of each compilation, before which this process forgets all."""
    seconds = []
    while True:
        jax.clear_caches()
        trainer = _trainer(config, objective)
        start = time.perf_counter()
        compiled = trainer.lower(state).compile()
        seconds.append(time.perf_counter() - start)
        if len(seconds) == compilations:
            return compiled, seconds


def _trainer(config: TrainConfig, objective: Objective) -> Trainer:
    environment = make_environment(config)
    fixed = resolve_fixed(config, objective, environment, {}) if objective.fixed else {}
    return make_trainer(config, make_problem(config, objective, environment, fixed))


def _starts(config: TrainConfig, objective: Objective, tell: Callable[[str], None]) -> tuple[float, float]:
    """Seconds of a start with an empty cache, and of another from what it left, this process having forgotten all.

    From the end of the imports to the end of the first update: environment, networks, initial state and program.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "jax_enable_compilation_cache": True,
            "jax_compilation_cache_dir": folder,
            "jax_persistent_cache_min_compile_time_secs": 0.0,
        }
        seconds = []
        for stage in ("cold start", "warm start"):
            tell(stage)
            with _cache_settings(**settings):
                jax.clear_caches()
                start = time.perf_counter()
                fresh = _trainer(config, objective)
                jax.block_until_ready(fresh.advance(fresh.init(), 1))
                seconds.append(time.perf_counter() - start)
    jax.clear_caches()
    return seconds[0], seconds[1]


def env_steps_of_update(problem: Problem) -> int:
    """Environment steps of one update of one seed, all pairings counted."""
    numbers, plan = problem.numbers, problem.plan
    pairings = numbers.lookahead * len(plan.lookahead_pairings) + len(plan.outer_pairings)
    return pairings * numbers.envs * numbers.steps
