"""The lookahead: N base updates θ → θ′ against the manipulators, recorded to be differentiated through."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from rpax.environments.protocol import Key
from rpax.policies.agent import Parameters
from rpax.training.base_update import base_gradients, term_advantages
from rpax.training.critic_update import Appraisal, LossAndGradient, appraise
from rpax.training.optimizers import OptimizerState
from rpax.training.problem import Problem, Streams, TrainState
from rpax.training.rollout import Chunk, roll_out_training


class LookaheadStep(NamedTuple):
    """One recorded lookahead step; :func:`look_ahead` stacks N of them along a leading axis.

    Attributes:
        base: θ^k of every base agent.
        optimizer: their optimiser states before the step.
        gradient: g_k of every base agent.
        entropy: mean entropy of every base agent at θ^k.
        chunk: what was rolled out under (θ^k, φ).
        advantage: Ã of every base agent's terms.
        targets: what the critics are to predict on this chunk.
        loss_and_gradient: the critics' on this chunk, if known already.
        streams: the environments after the chunk.
    """

    base: dict[str, Parameters]
    optimizer: dict[str, OptimizerState]
    gradient: dict[str, Parameters]
    entropy: dict[str, Float[Array, ""]]
    chunk: Chunk
    advantage: dict[str, Float[Array, "time terms envs"]]
    targets: Float[Array, "time pairings envs 2"]
    loss_and_gradient: LossAndGradient | None
    streams: Streams


def look_ahead(problem: Problem, key: Key, state: TrainState) -> tuple[dict[str, Parameters], LookaheadStep]:
    """Lines 1 and 2 of Algorithm 1: θ′ ← θ, then N times θ′ ← θ′ + α1 ∇_θ′ L(θ′, φ).

    Step k + 1 goes on where step k's environments stopped. The optimiser starts from the base agents' real state.

    Returns:
        θ′, and the N recorded steps stacked along a leading axis.
    """

    def one_step(carry, key_step: Key):
        base, optimizer, streams = carry
        record = _record_step(problem, key_step, base, optimizer, streams, state)
        ahead = {
            name: problem.base_optimizer.look_ahead(
                record.gradient[name], optimizer[name], base[name], problem.numbers.lookahead_rate
            )
            for name in problem.bases
        }
        base, optimizer = ({name: pair[part] for name, pair in ahead.items()} for part in (0, 1))
        return (base, optimizer, record.streams), record

    carry = (state.base, state.base_optimizer, state.lookahead_streams)
    keys = jax.random.split(key, problem.numbers.lookahead)
    if len(keys) == 1:
        # Stacking a single step in a scan would copy the chunk.
        (ahead, _, _), record = one_step(carry, keys[0])
        return ahead, jax.tree.map(lambda leaf: leaf[None], record)
    (ahead, _, _), trace = jax.lax.scan(one_step, carry, keys)
    return ahead, trace


def _record_step(problem: Problem, key: Key, base, optimizer, streams: Streams, state: TrainState) -> LookaheadStep:
    """Roll the base agents' objectives out under (θ^k, φ) and take their gradients."""
    plan = problem.plan
    parameters = {**base, **state.manipulators, **state.partners}
    chunk, streams = roll_out_training(problem, parameters, plan.lookahead_pairings, key, streams)
    appraisal = appraise_step(problem, state, chunk)
    terms = {name: plan.base_terms[name] for name in problem.bases}
    of_terms = term_advantages(problem, terms, appraisal.advantage, chunk.counted)
    found = problem.devices.mean(base_gradients(problem, base, chunk, of_terms))
    gradient, entropy = ({name: pair[part] for name, pair in found.items()} for part in (0, 1))
    return LookaheadStep(
        base, optimizer, gradient, entropy, chunk, of_terms, appraisal.targets, appraisal.loss_and_gradient, streams
    )


def appraise_step(problem: Problem, state: TrainState, chunk: Chunk) -> Appraisal:
    """What critics say of a lookahead step. They learn from the first one: at once, where there is no other."""
    return appraise(problem, state, problem.plan.lookahead_pairings, chunk, learn=problem.numbers.lookahead == 1)


def first_step(trace: LookaheadStep) -> LookaheadStep:
    """The first of the stacked steps: its environments persist, its data train the critics and the base agents."""
    return jax.tree.map(lambda leaf: leaf[0], trace)
