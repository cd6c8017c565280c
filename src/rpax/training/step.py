"""One update of Rational Policy Gradient from sampled play: the paper's Algorithm 1, line by line."""

import functools
from typing import NamedTuple

import jax

from rpax.environments.protocol import Key
from rpax.policies.agent import Parameters
from rpax.training.base_update import base_parts, term_advantages
from rpax.training.critic_update import Appraisal, CriticBatch, appraise, update_critics
from rpax.training.lookahead import LookaheadStep, first_step, look_ahead
from rpax.training.manipulator_update import (
    Influence,
    autodiff_influence,
    closed_form_influences,
    outer_gradients_on_device,
)
from rpax.training.metrics import StepMetrics, step_metrics
from rpax.training.outer_average import average
from rpax.training.parts import for_each
from rpax.training.ppo_update import BaseUpdate, clipped_steps
from rpax.training.problem import Problem, Streams, TrainState, global_norm
from rpax.training.rollout import Chunk, roll_out_training


def step(problem: Problem, state: TrainState) -> tuple[TrainState, StepMetrics]:
    """θ, φ → θ, φ after one update. Algorithms without manipulators have lines 1 and 5 only."""
    problem = problem.at(state.update)
    key = jax.random.fold_in(state.key, state.update)
    key_lookahead, key_outer, key_base, key_critics = jax.random.split(key, 4)

    # 1, 2.  θ′ ← θ;  repeat N times: roll out under (θ′, φ), θ′ ← θ′ + α1 ∇_θ′ L(θ′, φ)
    ahead, trace = look_ahead(problem, key_lookahead, state)

    # 3.  Roll out the manipulators' pairings under θ′
    outer = roll_out_manipulator_pairings(problem, key_outer, ahead, state)

    # 4.  φ ← φ + α2 ∇_φ L^O(θ′(φ))
    averages, outer_gradients = average(problem, state, outer_gradients_of(problem, ahead, outer))
    influences = manipulator_gradients(problem, state, trace, outer_gradients)
    manipulators, manipulator_optimizer = update_manipulators(problem, state, influences)

    # 5.  θ ← θ + α3 ∇_θ L(θ, φ), on the batch of the first lookahead step
    first = first_step(trace)
    updates = update_bases(problem, key_base, state, first)

    # The critics of all pairings learn from the same two batches.
    batches = [CriticBatch(problem.plan.lookahead_pairings, first.chunk, first.targets, first.loss_and_gradient)]
    if outer is not None:
        _, targets, known = outer.appraisal
        batches.append(CriticBatch(problem.plan.outer_pairings, outer.chunk, targets, known))
    after = manipulators or first.gradient
    critics, critic_optimizer, critic_loss = update_critics(problem, key_critics, state, batches, after=after)

    following = TrainState(
        base={name: update.parameters for name, update in updates.items()},
        base_optimizer={name: update.optimizer for name, update in updates.items()},
        manipulators=manipulators,
        manipulator_optimizer=manipulator_optimizer,
        critics=critics,
        critic_optimizer=critic_optimizer,
        lookahead_streams=first.streams,
        outer_streams=None if outer is None else outer.streams,
        outer_gradients=averages,
        key=state.key,
        update=state.update + 1,
        partners=state.partners,
    )
    return following, step_metrics(problem, first, outer, updates, influences, critic_loss)


class OuterBatch(NamedTuple):
    """The manipulators' pairings, rolled out under θ′.

    Attributes:
        chunk: what was recorded.
        appraisal: what the critics say of it.
        streams: the environments after the chunk.
    """

    chunk: Chunk
    appraisal: Appraisal
    streams: Streams


def roll_out_manipulator_pairings(
    problem: Problem, key: Key, ahead: dict[str, Parameters], state: TrainState
) -> OuterBatch | None:
    """Line 3; ``None`` where the algorithm has no manipulators."""
    if state.outer_streams is None:
        return None
    pairings = problem.plan.outer_pairings
    chunk, streams = roll_out_training(problem, {**ahead, **state.partners}, pairings, key, state.outer_streams)
    return OuterBatch(chunk, appraise(problem, state, pairings, chunk, learn=True), streams)


def outer_gradients_of(
    problem: Problem, ahead: dict[str, Parameters], outer: OuterBatch | None
) -> dict[str, Parameters]:
    """u = ∇_θ′ J^O(θ′) of every manipulator's shaped base."""
    if outer is None:
        return {}
    of_terms = term_advantages(problem, problem.plan.outer_terms, outer.appraisal.advantage)
    return problem.devices.mean(outer_gradients_on_device(problem, ahead, outer.chunk, of_terms))


def manipulator_gradients(
    problem: Problem, state: TrainState, trace: LookaheadStep, outer_gradients: dict[str, Parameters]
) -> dict[str, Influence]:
    """∇_φ L^O(θ′(φ)) of every manipulator: the influence on its base agent, and an ordinary entropy bonus."""
    if problem.numbers.manipulator_gradient == "closed-form":
        return closed_form_influences(problem, state.manipulators, trace, outer_gradients)
    return {
        name: autodiff_influence(problem, name, state.manipulators, trace, u) for name, u in outer_gradients.items()
    }


def update_manipulators(
    problem: Problem, state: TrainState, influences: dict[str, Influence]
) -> tuple[dict[str, Parameters], dict[str, Parameters]]:
    """Line 4."""
    manipulators, optimizer = {}, {}
    for name, influence in influences.items():
        manipulators[name], optimizer[name] = problem.manipulator_optimizer.ascend(
            influence.gradient,
            state.manipulator_optimizer[name],
            state.manipulators[name],
            problem.numbers.manipulator_rate,
        )
    return manipulators, optimizer


def update_bases(problem: Problem, key: Key, state: TrainState, first: LookaheadStep) -> dict[str, BaseUpdate]:
    """Line 5: one step with the gradient of the first lookahead step, or PPO's steps on its batch.

    Either clips to the largest norm and takes the real step's learning rate.
    """
    keys = dict(zip(problem.bases, jax.random.split(key, len(problem.bases)), strict=True))
    if problem.numbers.base_update == "ppo":
        of_agent = functools.partial(clipped_steps, problem, first.chunk)
        return for_each(of_agent, base_parts(problem), keys, state.base, state.base_optimizer, first.advantage)
    updates = {}
    for name, gradient in first.gradient.items():
        parameters, optimizer = state.base[name], state.base_optimizer[name]
        stepped = problem.base_optimizer.ascend(gradient, optimizer, parameters, problem.numbers.base_rate)
        updates[name] = BaseUpdate(*stepped, global_norm(gradient), first.entropy[name])
    return updates
