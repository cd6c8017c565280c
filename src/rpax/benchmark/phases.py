"""What an update spends its time on: programs of its phases, compiled and timed alone."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from rpax.benchmark.stopwatch import time_call
from rpax.environments.protocol import Key
from rpax.training.critic_update import CriticBatch, appraise, update_critics
from rpax.training.lookahead import appraise_step, first_step, look_ahead
from rpax.training.problem import Problem, TrainState
from rpax.training.rollout import draw_chance, roll_out_training
from rpax.training.step import (
    manipulator_gradients,
    outer_gradients_of,
    roll_out_manipulator_pairings,
    update_bases,
)
from rpax.training.trainer import Trainer, without_axis


def phase_shares(
    trainer: Trainer, per_update: float, repetitions: int, tell: Callable[[str], None]
) -> dict[str, float]:
    """Shares of an update by phase, each from programs that are compiled and timed alone.

    - ``environment``: stepping and observing in all rollouts, with actions that are given.
    - ``policy``: what else rollouts take; a difference, as is the next.
    - ``base gradient``: what else the lookahead takes, its N gradients and steps.
    - ``base update``: the clipped steps of PPO; a plain step is next to nothing, and part of ``other``.
    - ``manipulator gradient``: the outer gradients, and from them the manipulators'.
    - ``critic``: values, advantages and learning of all critics.
    - ``other``: the rest.
    """
    seconds = _timephases(trainer, repetitions, tell)
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


def _timephases(trainer: Trainer, repetitions: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Seconds of each of the programs that phases are found from, as far as the problem has them."""
    state, problem = trainer.init(), trainer.problem
    left_out = {"base update"} if problem.numbers.base_update == "pg" else set()
    left_out |= set() if problem.manipulators else {"manipulator rollout", "manipulator gradient"}

    def on_each_device(phase: Callable[..., Any]) -> Callable[..., Any]:
        def of_seeds(problem: Problem, *arguments: Any) -> Any:
            of_one = functools.partial(_in_its_update, phase, problem)
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
                seconds[name] = time_call(on_each_device(phase), (state, prepared), repetitions)
    return seconds


def _in_its_update(phase: Callable[..., Any], problem: Problem, state: TrainState, *others: Any) -> Any:
    return phase(problem.at(state.update), state, *others)


def _prepare(problem: Problem, state: TrainState) -> Any:
    """A recorded lookahead and outer batch, on which the later phases are timed."""
    ahead, trace = look_ahead(problem, state.key, state)
    return ahead, trace, roll_out_manipulator_pairings(problem, state.key, ahead, state)


def _lookahead_rollout(problem: Problem, state: TrainState, _: Any) -> Any:
    parameters, pairings = {**state.base, **state.manipulators}, problem.plan.lookahead_pairings

    def one_chunk(streams: Any, key: Any) -> Any:
        chunk, streams = roll_out_training(problem, parameters, pairings, key, streams)
        return streams, chunk

    return jax.lax.scan(one_chunk, state.lookahead_streams, jax.random.split(state.key, problem.numbers.lookahead))


def _manipulator_rollout(problem: Problem, state: TrainState, prepared: Any) -> Any:
    assert state.outer_streams is not None, "timed where there are manipulators"
    return roll_out_training(problem, prepared[0], problem.plan.outer_pairings, state.key, state.outer_streams)


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
