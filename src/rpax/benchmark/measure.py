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
from rpax.training.rollout import draw_chance, roll_out
from rpax.training.setup import make_problem
from rpax.training.step import (
    manipulator_gradients,
    outer_gradients_of,
    roll_out_manipulator_pairings,
    update_bases,
)
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
        host_overhead_seconds: what a call of the update program costs besides its updates; see :func:`host_overhead`.
        phases: share of an update's time by phase, see :func:`_phases`.
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


def measure(
    config: TrainConfig,
    objective: Objective,
    repetitions: int,
    *,
    phases: bool = True,
    tell: Callable[[str], None] = lambda stage: None,
) -> Measurement:
    """Measure one complete configuration.

    Args:
        config: what is measured.
        objective: the objective it names.
        repetitions: how often everything is timed.
        phases: time starts, phases and the host's overhead too, which takes several compilations more.
        tell: called with the name of each stage before it begins.
    """
    environment = make_environment(config)
    fixed = {}
    if objective.fixed:
        from rpax.runs.session import resolve_fixed

        fixed = resolve_fixed(config, objective, environment, {})
    problem = make_problem(config, objective, environment, fixed)
    trainer = make_trainer(config, problem)
    # A cached program would make compilation look free.
    jax.config.update("jax_enable_compilation_cache", False)
    tell("compiling")
    state = trainer.init()
    start = time.perf_counter()
    compiled = trainer.lower(state).compile()
    compile_seconds = time.perf_counter() - start
    tell("timing updates")
    with trainer.precision_context():
        times = _time_updates(compiled, state, repetitions)
        per_update = statistics.median(times)
        overhead = host_overhead(compiled, trainer.init(), per_update, repetitions) if phases else None
    memory = compiled.memory_analysis()
    in_phases = phases and not config.exact
    cold, warm = _starts(trainer, tell) if in_phases else (None, None)
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
        host_overhead_seconds=overhead,
        phases=_phases(trainer, per_update, repetitions, tell) if in_phases else {"update": 1.0},
    )


def _starts(trainer: Trainer, tell: Callable[[str], None]) -> tuple[float, float]:
    """Seconds of a start with an empty cache, and of another from what it left, this process having forgotten all."""
    with tempfile.TemporaryDirectory() as folder:
        before = {name: getattr(jax.config, name) for name in _CACHE_SETTINGS}
        jax.config.update("jax_enable_compilation_cache", True)
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        try:
            seconds = []
            for stage in ("cold start", "warm start"):
                tell(stage)
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
    state, _ = _timed(advance, state, 1)
    state, seconds = _timed(advance, state, 3)
    updates = max(1, round(_LEAST_SECONDS / seconds))
    times = []
    for _ in range(repetitions):
        state, seconds = _timed(advance, state, updates)
        times.append(seconds)
    return times


def host_overhead(advance: Callable[..., Any], state: Any, per_update: float, repetitions: int) -> float:
    """Seconds of an update that is a call of its own, less those of one among many in a call; at least 0.

    That is dispatch, and the report that ends a call. Of updates that take much longer it is lost in the noise.
    """
    updates = max(2, round(_LEAST_SECONDS / per_update))
    differences = []
    for _ in range(repetitions):
        # One right after the other, so that both meet the machine in the same mood.
        state, alone = _timed(advance, state, 1, calls=updates)
        state, among_many = _timed(advance, state, updates)
        differences.append(alone - among_many)
    return max(0.0, statistics.median(differences))


def _timed(advance: Callable[..., Any], state: Any, updates: int, calls: int = 1) -> tuple[Any, float]:
    """The state after ``calls`` calls of ``updates`` updates each, and the seconds that one update took."""
    start = time.perf_counter()
    for _ in range(calls):
        state, _ = jax.block_until_ready(advance(state, jnp.asarray(updates, jnp.int32)))
    return state, (time.perf_counter() - start) / (updates * calls)


def _phases(trainer: Trainer, per_update: float, repetitions: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Shares of an update by phase, each from programs that are compiled and timed alone.

    - ``environment``: stepping and observing in all rollouts, with actions that are given.
    - ``policy``: what else rollouts take; a difference, as is the next.
    - ``base gradient``: what else the lookahead takes, its N gradients and steps.
    - ``base update``: the clipped steps of PPO; a plain step is next to nothing, and part of ``other``.
    - ``manipulator gradient``: the outer gradients, and from them the manipulators'.
    - ``critic``: values, advantages and learning of all critics.
    - ``other``: the rest.
    """
    seconds = _time_phases(trainer, repetitions, tell)
    numbers, has_manipulators = trainer.problem.numbers, bool(trainer.problem.manipulators)
    rollouts = seconds["lookahead rollout"] + (seconds["manipulator rollout"] if has_manipulators else 0.0)
    environment = min(seconds["environment"], rollouts)
    # What critics say is part of the critics' time, not of whatever asks them.
    asked = seconds["lookahead appraisal"]
    gradient = seconds["lookahead"] - seconds["lookahead rollout"] - numbers.lookahead * asked
    shown = {
        "environment": environment,
        "policy": rollouts - environment,
        "base gradient": max(0.0, gradient),
        **({"base update": seconds["base update"]} if numbers.base_update == "ppo" else {}),
        **({"manipulator gradient": seconds["manipulator gradient"]} if has_manipulators else {}),
        "critic": seconds["critic"] + (numbers.lookahead - 1) * asked,
    }
    # Called alone each phase pays for its own dispatch, so small phases can add up to more than the update.
    total = max(per_update, sum(shown.values()))
    shares = {name: value / total for name, value in shown.items()}
    return shares | {"other": max(0.0, 1 - sum(shares.values()))}


def _time_phases(trainer: Trainer, repetitions: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Seconds of each of the programs that phases are found from, as far as the problem has them."""
    state, problem = trainer.init(), trainer.problem
    left_out = {"base update"} if problem.numbers.base_update == "pg" else set()
    left_out |= set() if problem.manipulators else {"manipulator rollout", "manipulator gradient"}

    def on_each_device(phase: Callable[..., Any]) -> Callable[..., Any]:
        def of_seeds(problem: Problem, *arguments: Any) -> Any:
            def of_one(state: TrainState, *others: Any) -> Any:
                return phase(problem.at(state.update), state, *others)

            return (without_axis if len(trainer.seeds) == 1 else jax.vmap)(of_one)(*arguments)

        return jax.jit(trainer.on_each_device(of_seeds, returns_state=False))

    seconds = {}
    with trainer.precision_context():
        tell("recording what phases work on")
        # Of several devices, all go on with what the first one recorded.
        prepared = jax.block_until_ready(on_each_device(_prepare)(state))
        for name, phase in _PHASES.items():
            if name not in left_out:
                tell(f"phase: {name}")
                seconds[name] = _time_call(on_each_device(phase), (state, prepared), repetitions)
    return seconds


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


def _manipulator_rollout(problem: Problem, state: TrainState, prepared: Any) -> Any:
    assert state.outer_streams is not None, "timed where there are manipulators"
    return roll_out(
        problem.training_stage,
        problem.players,
        {**prepared[0], **problem.fixed},
        problem.plan.outer_pairings,
        state.key,
        state.outer_streams,
        problem.numbers.steps,
        problem.devices,
    )


def _environment(problem: Problem, state: TrainState, prepared: Any) -> Any:
    """The environments' part of all rollouts: the same games, steps and random numbers, with the recorded actions."""
    _, trace, outer = prepared
    assert state.lookahead_streams is not None, "timed with sampled play"

    def one_chunk(games: Any, given: Any) -> Any:
        return _play_given(problem, given[0], games, given[1])

    keys = jax.random.split(state.key, problem.numbers.lookahead)
    of_lookahead = jax.lax.scan(one_chunk, _as_games(state.lookahead_streams.state, 2), (keys, trace.chunk.actions))[1]
    if outer is None or state.outer_streams is None:
        return of_lookahead, None
    games = _as_games(state.outer_streams.state, 2)
    return of_lookahead, _play_given(problem, state.key, games, outer.chunk.actions)[1]


class Seen(NamedTuple):
    """What a rollout records of environments, as :class:`~rpax.training.rollout.Chunk`, but all games on one axis."""

    observations: Any
    legal: Any
    rewards: Any
    shaped: Any
    done: Any
    last: Any = None


def _play_given(problem: Problem, key: Key, games: Any, actions: Any) -> tuple[Any, Seen]:
    """One chunk of environments alone: the states after it, and what was seen."""
    stage = problem.training_stage
    steps, paired, envs, _ = actions.shape
    chance = draw_chance(key, (steps, paired, envs * problem.devices.count))
    keys = problem.devices.part(chance.keys, axis=2)

    def observe(games: Any) -> Any:
        seen = jax.vmap(stage.observe)(games)
        return tuple(s.astype(space.observation_dtype) for s, space in zip(seen, stage.spaces, strict=True))

    def one_step(games: Any, given: Any) -> tuple[Any, Seen]:
        observations, legal = observe(games), jax.vmap(stage.legal_actions)(games)
        transition, games = stage.step_and_reset_all(given[0], games, given[1])
        return games, Seen(observations, legal, transition.rewards, transition.shaped, transition.done)

    games, seen = jax.lax.scan(one_step, games, (_as_games(keys, 3, 1), _as_games(actions, 3, 1)))
    return games, seen._replace(last=observe(games))


def _as_games(tree: Any, end: int, start: int = 0) -> Any:
    """Axes ``start`` to ``end``, those of pairings and environments, as one."""
    return jax.tree.map(lambda leaf: leaf.reshape(*leaf.shape[:start], -1, *leaf.shape[end:]), tree)


def _lookahead(problem: Problem, state: TrainState, _: Any) -> Any:
    return look_ahead(problem, state.key, state)


def _base_update(problem: Problem, state: TrainState, prepared: Any) -> Any:
    return update_bases(problem, state.key, state, first_step(prepared[1]))


def _manipulator_gradient(problem: Problem, state: TrainState, prepared: Any) -> Any:
    ahead, trace, outer = prepared
    return manipulator_gradients(problem, state, trace, outer_gradients_of(problem, ahead, outer))


def _lookahead_appraisal(problem: Problem, state: TrainState, prepared: Any) -> Any:
    return appraise_step(problem, state, first_step(prepared[1]).chunk)


def _critics(problem: Problem, state: TrainState, prepared: Any) -> Any:
    first, outer = first_step(prepared[1]), prepared[2]
    said = _lookahead_appraisal(problem, state, prepared)
    batches = [CriticBatch(problem.plan.lookahead_pairings, first.chunk, said.targets, said.loss_and_gradient)]
    if outer is not None:
        said = appraise(problem, state, problem.plan.outer_pairings, outer.chunk, learn=True)
        batches.append(CriticBatch(problem.plan.outer_pairings, outer.chunk, said.targets, said.loss_and_gradient))
    return update_critics(problem, state.key, state, batches)


_PHASES: dict[str, Callable[[Problem, TrainState, Any], Any]] = {
    "environment": _environment,
    "lookahead rollout": _lookahead_rollout,
    "manipulator rollout": _manipulator_rollout,
    "lookahead": _lookahead,
    "lookahead appraisal": _lookahead_appraisal,
    "base update": _base_update,
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
