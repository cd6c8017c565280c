"""Time an update, its compilation and its phases on one algorithm, environment and size."""

import dataclasses
import functools
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rpax.environments.protocol import Environment, Key
from rpax.objectives.edges import Objective
from rpax.policies import categorical
from rpax.runs.config import TrainConfig
from rpax.runs.session import make_environment, make_trainer
from rpax.training.critic_update import CriticBatch, appraise, update_critics
from rpax.training.lookahead import appraise_step, first_step, look_ahead
from rpax.training.problem import Problem, TrainState
from rpax.training.rollout import roll_out
from rpax.training.setup import make_problem
from rpax.training.step import manipulator_gradients, outer_gradients_of, roll_out_manipulator_pairings
from rpax.training.trainer import Trainer, without_axis

#: A repetition runs so many updates that it takes at least so long.
_LEAST_SECONDS = 0.2
_CACHE_SETTINGS = (
    "jax_enable_compilation_cache",
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One configuration, measured.

    Attributes:
        lookahead: N.
        envs: parallel environments of each pairing.
        steps: steps of a chunk.
        manipulator_gradient: closed form or autodiff.
        compile_seconds: tracing, lowering and compiling the update, nothing cached.
        cold_start_seconds: from nothing in this process to the first update done, nothing cached.
        warm_start_seconds: the same with filled caches of compiled and traced programs.
        seconds_per_update: median over the repetitions, all seeds together.
        slowest: of the repetitions.
        fastest: of the repetitions.
        env_steps_per_second: steps of all pairings (lookahead and outer) and seeds per second; 0 in exact mode.
        program_bytes: what the compiled update needs: arguments, results and temporaries.
        phases: share of an update's time by phase, each phase compiled and timed alone, ``other`` being the rest.
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
    phases: dict[str, float]


def measure(config: TrainConfig, objective: Objective, repetitions: int, *, phases: bool = True) -> Measurement:
    """Measure one complete configuration; ``phases`` takes several compilations more."""
    environment = make_environment(config)
    fixed = {}
    if objective.fixed:
        from rpax.runs.session import resolve_fixed

        fixed = resolve_fixed(config, objective, environment, {})
    problem = make_problem(config, objective, environment, fixed)
    trainer = make_trainer(config, problem)
    # A cached program would make compilation look free.
    jax.config.update("jax_enable_compilation_cache", False)
    state = trainer.init()
    start = time.perf_counter()
    compiled = trainer.lower(state).compile()
    compile_seconds = time.perf_counter() - start
    with trainer.precision_context():
        times = _time_updates(compiled, state, repetitions)
    per_update = statistics.median(times)
    memory = compiled.memory_analysis()
    cold, warm = _starts(trainer) if phases and not config.exact else (None, None)
    steps = 0 if config.exact else env_steps_of_update(problem) * len(trainer.seeds)
    return Measurement(
        lookahead=problem.numbers.lookahead,
        envs=config.envs or 0,
        steps=problem.numbers.steps,
        manipulator_gradient=problem.numbers.manipulator_gradient,
        compile_seconds=compile_seconds,
        cold_start_seconds=cold,
        warm_start_seconds=warm,
        seconds_per_update=per_update,
        slowest=max(times),
        fastest=min(times),
        env_steps_per_second=steps / per_update,
        program_bytes=memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes,
        phases=_phases(trainer, per_update, repetitions) if phases and not config.exact else {"update": 1.0},
    )


def _starts(trainer: Trainer) -> tuple[float, float]:
    """Seconds of a start with an empty cache, and of another from what it left, this process having forgotten all."""
    with tempfile.TemporaryDirectory() as folder:
        before = {name: getattr(jax.config, name) for name in _CACHE_SETTINGS}
        jax.config.update("jax_enable_compilation_cache", True)
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        try:
            seconds = []
            for _ in ("fill the cache", "start from it"):
                _forget_programs()
                fresh = dataclasses.replace(trainer)
                start = time.perf_counter()
                jax.block_until_ready(fresh.advance(fresh.init(), 1))
                seconds.append(time.perf_counter() - start)
            return seconds[0], seconds[1]
        finally:
            for name, value in before.items():
                jax.config.update(name, value)
            _forget_programs()


def _forget_programs() -> None:
    from jax.experimental.compilation_cache import compilation_cache

    # The cache object remembers the folder it was made for.
    compilation_cache.reset_cache()
    jax.clear_caches()


class SteppingSpeed(NamedTuple):
    """Environment steps per second with uniform random actions and one observation a step, nothing learned.

    Attributes:
        ours: through the two-seat protocol.
        jaxmarl: JaxMARL's own loop over the same game, ``None`` where it has none.
    """

    ours: float
    jaxmarl: float | None


def stepping_speed(environment: Environment, repetitions: int, envs: int = 512, steps: int = 100) -> SteppingSpeed:
    """Raw stepping of ``envs`` games at once, ours and (for its games) JaxMARL's own in the same run."""
    functions = [functools.partial(_step_ours, environment, envs, steps)]
    game = getattr(environment, "game", None)
    if game is not None:
        functions.append(functools.partial(_step_jaxmarl, game, environment, envs, steps))
    speeds = [envs * steps / _time_call(jax.jit(function), (jax.random.key(0),), repetitions) for function in functions]
    return SteppingSpeed(speeds[0], speeds[1] if len(speeds) > 1 else None)


def _step_ours(environment: Environment, envs: int, steps: int, key: Key) -> Any:
    key_reset, key_play = jax.random.split(key)
    state = jax.vmap(environment.reset)(jax.random.split(key_reset, envs))

    def one_step(state: Any, key_step: Key) -> tuple[Any, Any]:
        key_act, key_env = jax.random.split(key_step)
        legal = jax.vmap(environment.legal_actions)(state)
        masks = [None, None] if legal is None else legal
        draw = [
            categorical.sample(k, jnp.zeros((envs, space.num_actions)), mask)
            for k, space, mask in zip(jax.random.split(key_act), environment.spaces, masks, strict=True)
        ]
        keys = jax.random.split(key_env, envs)
        transition, state = environment.step_and_reset_all(keys, state, jnp.stack(draw, axis=-1))
        return state, (transition.rewards.sum(), _digest(jax.vmap(environment.observe)(state)))

    return jax.lax.scan(one_step, state, jax.random.split(key_play, steps))[1]


def _step_jaxmarl(game: Any, environment: Environment, envs: int, steps: int, key: Key) -> Any:
    key_reset, key_play = jax.random.split(key)
    _, state = jax.vmap(game.reset)(jax.random.split(key_reset, envs))

    def one_step(state: Any, key_step: Key) -> tuple[Any, Any]:
        key_act, key_env = jax.random.split(key_step)
        masks = jax.vmap(game.get_legal_moves)(state) if hasattr(game, "get_legal_moves") else {}
        actions = {
            agent: categorical.sample(k, jnp.zeros((envs, space.num_actions)), _as_mask(masks.get(agent)))
            for k, agent, space in zip(jax.random.split(key_act), game.agents, environment.spaces, strict=True)
        }
        seen, state, rewards, _, _ = jax.vmap(game.step)(jax.random.split(key_env, envs), state, actions)
        return state, (rewards[game.agents[0]].sum(), _digest([seen[agent] for agent in game.agents]))

    # One step first: JaxMARL's state after a reset may be typed more weakly than after a step.
    state, _ = one_step(state, key_reset)
    return jax.lax.scan(one_step, state, jax.random.split(key_play, steps))[1]


def _as_mask(legal: Any) -> Any:
    return None if legal is None else legal.astype(bool)


def _digest(observations: Any) -> Any:
    """A number that depends on all that was observed, so that nothing is left out of the compiled program."""
    return sum(jnp.sum(seen.astype(jnp.float32)) for seen in observations)


def env_steps_of_update(problem: Problem) -> int:
    """Environment steps of one update of one seed, all pairings counted."""
    numbers, plan = problem.numbers, problem.plan
    pairings = numbers.lookahead * len(plan.lookahead_pairings) + len(plan.outer_pairings)
    return pairings * numbers.envs * numbers.steps


def _time_updates(advance: Callable[..., Any], state: TrainState, repetitions: int) -> list[float]:
    """Seconds per update of each repetition, after a warm-up that also chooses how many updates one takes."""
    state = advance(state, jnp.asarray(1, jnp.int32))[0]
    start = time.perf_counter()
    state, _ = jax.block_until_ready(advance(state, jnp.asarray(3, jnp.int32)))
    updates = max(1, round(3 * _LEAST_SECONDS / (time.perf_counter() - start)))
    count = jnp.asarray(updates, jnp.int32)
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(advance(state, count))
        times.append((time.perf_counter() - start) / updates)
    return times


def _phases(trainer: Trainer, per_update: float, repetitions: int) -> dict[str, float]:
    """Shares of an update. What cannot be timed alone comes out as a difference, like base agents' gradients."""
    state = trainer.init()

    def on_each_device(phase: Callable[..., Any]) -> Callable[..., Any]:
        def of_seeds(problem: Problem, *arguments: Any) -> Any:
            def of_one(state: TrainState, *others: Any) -> Any:
                return phase(problem.at(state.update), state, *others)

            return (without_axis if len(trainer.seeds) == 1 else jax.vmap)(of_one)(*arguments)

        return jax.jit(trainer.on_each_device(of_seeds, returns_state=False))

    with trainer.precision_context():
        # Of several devices, all go on with what the first one recorded.
        prepared = on_each_device(_prepare)(state)
        seconds = {
            name: _time_call(on_each_device(phase), (state, prepared), repetitions) for name, phase in _PHASES.items()
        }
    # What critics say is part of the critics' time, not of whatever asks them.
    asked, lookahead = seconds.pop("lookahead appraisal"), trainer.problem.numbers.lookahead
    seconds["base gradient"] = max(0.0, seconds.pop("lookahead") - seconds["lookahead rollout"] - lookahead * asked)
    seconds["critic"] += (lookahead - 1) * asked
    seconds["manipulator rollout"] = max(0.0, seconds["manipulator rollout"] - seconds.pop("outer appraisal"))
    if not trainer.problem.manipulators:
        for name in ("manipulator rollout", "manipulator gradient"):
            del seconds[name]
    # Called alone each phase pays for its own dispatch, so small phases can add up to more than the update.
    total = max(per_update, sum(seconds.values()))
    shares = {name: value / total for name, value in seconds.items()}
    return shares | {"other": 1 - sum(shares.values())}


def _prepare(problem: Problem, state: TrainState) -> Any:
    """A recorded lookahead and outer batch, on which the later phases are timed."""
    ahead, trace = look_ahead(problem, state.key, state)
    return ahead, trace, roll_out_manipulator_pairings(problem, state.key, ahead, state)


def _lookahead_rollout(problem: Problem, state: TrainState, _: Any) -> Any:
    parameters = {**state.base, **state.manipulators, **problem.fixed}
    pairings, steps = problem.plan.lookahead_pairings, problem.numbers.steps

    def one_chunk(streams: Any, key: Any) -> Any:
        chunk, streams = roll_out(
            problem.training_stage, problem.players, parameters, pairings, key, streams, steps, problem.devices
        )
        return streams, chunk

    return jax.lax.scan(one_chunk, state.lookahead_streams, jax.random.split(state.key, problem.numbers.lookahead))


def _lookahead(problem: Problem, state: TrainState, _: Any) -> Any:
    return look_ahead(problem, state.key, state)


def _manipulator_rollout(problem: Problem, state: TrainState, prepared: Any) -> Any:
    return roll_out_manipulator_pairings(problem, state.key, prepared[0], state)


def _manipulator_gradient(problem: Problem, state: TrainState, prepared: Any) -> Any:
    ahead, trace, outer = prepared
    return manipulator_gradients(problem, state, trace, outer_gradients_of(problem, ahead, outer))


def _lookahead_appraisal(problem: Problem, state: TrainState, prepared: Any) -> Any:
    return appraise_step(problem, state, first_step(prepared[1]).chunk)


def _outer_appraisal(problem: Problem, state: TrainState, prepared: Any) -> Any:
    outer = prepared[2]
    return None if outer is None else appraise(problem, state, problem.plan.outer_pairings, outer.chunk, learn=True)


def _critics(problem: Problem, state: TrainState, prepared: Any) -> Any:
    first, outer = first_step(prepared[1]), prepared[2]
    said = _lookahead_appraisal(problem, state, prepared)
    batches = [CriticBatch(problem.plan.lookahead_pairings, first.chunk, said.targets, said.loss_and_gradient)]
    if outer is not None:
        said = _outer_appraisal(problem, state, prepared)
        batches.append(CriticBatch(problem.plan.outer_pairings, outer.chunk, said.targets, said.loss_and_gradient))
    return update_critics(problem, state.key, state, batches)


_PHASES: dict[str, Callable[[Problem, TrainState, Any], Any]] = {
    "lookahead rollout": _lookahead_rollout,
    "lookahead": _lookahead,
    "lookahead appraisal": _lookahead_appraisal,
    "manipulator rollout": _manipulator_rollout,
    "outer appraisal": _outer_appraisal,
    "manipulator gradient": _manipulator_gradient,
    "critic": _critics,
}


def _time_call(function: Callable[..., Any], arguments: tuple[Any, ...], repetitions: int) -> float:
    """Median seconds of one call, after a warm-up."""
    jax.block_until_ready(function(*arguments))
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    calls = max(1, round(0.1 / max(1e-6, time.perf_counter() - start)))
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        jax.block_until_ready([function(*arguments) for _ in range(calls)])
        times.append((time.perf_counter() - start) / calls)
    return statistics.median(times)


def peak_memory_bytes() -> int | None:
    """The largest resident memory of this process so far, compilation included; ``None`` where it is unknown."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else 1024 * peak


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import os

    return {
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def _processor_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
