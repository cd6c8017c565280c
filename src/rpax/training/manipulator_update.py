"""The manipulators' gradient ∇_φ J^O(θ′(φ)) through the lookahead: in closed form, and by autodiff as its oracle.

The closed form needs no higher-order autodiff: differentiate the optimiser once, push the result through the base
policy once, and what comes out are advantages for the manipulator (the influence credits). See ``docs/method.md``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rpax.estimators.influence import influence_credits
from rpax.policies.agent import Parameters, View
from rpax.slices import take_static
from rpax.training.base_update import base_surrogate, manipulator_terms, policy_gradient
from rpax.training.lookahead import LookaheadStep, first_step
from rpax.training.optimizers import OptimizerState
from rpax.training.problem import Problem
from rpax.training.recorded import map_over_views, sum_over_views
from rpax.training.rollout import Chunk, actor_slots, other_slots


def outer_gradient(
    problem: Problem, manipulator: str, ahead: Parameters, chunk: Chunk, advantage: Float[Array, "time terms envs"]
) -> Parameters:
    """u = ∇_θ′ J^O(θ′): the ordinary policy gradient of the shaped base for its manipulator's edges, on one device."""
    slots = actor_slots(problem.plan.outer_terms[manipulator])
    return policy_gradient(problem.players[problem.shaped_by(manipulator)], ahead, chunk, slots, advantage).gradient


class Influence(NamedTuple):
    """A manipulator's gradient and how it came about.

    Attributes:
        gradient: ∇_φ J^O(θ′(φ)).
        credit: root mean square of the influence credits of the first lookahead step; ``None`` from autodiff.
    """

    gradient: Parameters
    credit: Float[Array, ""] | None


class _Adjoint(NamedTuple):
    """What flows backwards: derivatives of J^O in θ^{k+1}, in the optimiser's state^{k+1}, and in φ so far."""

    parameters: Parameters
    optimizer: OptimizerState
    manipulator: Parameters


def closed_form_influences(
    problem: Problem, manipulators: Mapping[str, Parameters], trace: LookaheadStep, outer: Mapping[str, Parameters]
) -> dict[str, Influence]:
    """∇_φ J^O by influence credits, of every manipulator.

    Backwards over the lookahead steps, (u, ū) being the derivative of J^O in (θ^{k+1}, state^{k+1}):

        (d, ū, u⁰) ← vjp of the optimiser's step (g, state, θ) ↦ (θ′, state′), applied to (u, ū)
        s_t = ⟨d, ∇_θ log π_θ(a_t|o_t)⟩ for every term of the base agent (one jvp)
        c_t = influence credits of (s, Ã)
        ∇_φ J^O += mean_{e,t} [e plays with the manipulator] c_t ∇_φ log π_φ(b_t|o^φ_t)
        u ← u⁰ + ∇_θ ( mean_{e,t} (stop(c_t) log π_θ + Ã_t s_t) + β ⟨d, ∇_θ H⟩ )

    Args:
        problem: what the run is about.
        manipulators: every manipulator's φ.
        trace: the recorded lookahead steps, stacked.
        outer: u at θ′ of every manipulator.
    """

    def one_step_back(adjoints: dict[str, _Adjoint], number: Array) -> tuple[dict[str, _Adjoint], None]:
        record = _step_number(trace, number)
        back = {name: _step_back(problem, name, manipulators[name], record, its) for name, its in adjoints.items()}
        through_gradient = problem.devices.mean({name: through for name, (_, through) in back.items()})
        following = {
            name: its._replace(parameters=jax.tree.map(jnp.add, its.parameters, through_gradient[name]))
            for name, (its, _) in back.items()
        }
        return following, None

    adjoints = {name: _last_adjoint(problem, name, manipulators[name], trace, u) for name, u in outer.items()}
    if problem.numbers.lookahead > 1:
        adjoints, _ = jax.lax.scan(one_step_back, adjoints, jnp.arange(1, problem.numbers.lookahead), reverse=True)
    record = first_step(trace)
    found = {name: _first_step_back(problem, name, manipulators[name], record, its) for name, its in adjoints.items()}
    found = problem.devices.mean(found)
    return {name: Influence(gradient, jnp.sqrt(squared)) for name, (gradient, squared) in found.items()}


def _last_adjoint(
    problem: Problem, manipulator: str, parameters: Parameters, trace: LookaheadStep, outer: Parameters
) -> _Adjoint:
    """At θ′: u, and nothing yet in the optimiser's state and φ."""
    optimizer = jax.tree.map(lambda leaf: leaf[-1], trace.optimizer[problem.shaped_by(manipulator)])
    moments = [jnp.zeros_like(leaf) for leaf in _float_leaves(optimizer)]
    return _Adjoint(outer, moments, jax.tree.map(jnp.zeros_like, parameters))


def _step_back(
    problem: Problem, manipulator: str, parameters: Parameters, record: LookaheadStep, adjoint: _Adjoint
) -> tuple[_Adjoint, Parameters]:
    """One step back, on one device: the adjoint with u⁰ only, and what flows back through the step's gradient."""
    base = problem.shaped_by(manipulator)
    positions, _ = manipulator_terms(problem, base, manipulator)
    direction, moments, through_optimizer = _through_optimizer(problem, base, record, adjoint)
    credit = _credits(problem, base, record, direction, range(len(problem.plan.base_terms[base])))
    step = _to_manipulator(problem, manipulator, parameters, record, take_static(credit, positions, axis=1))
    total = jax.tree.map(jnp.add, adjoint.manipulator, step)
    return _Adjoint(through_optimizer, moments, total), _through_gradient(problem, base, record, direction, credit)


def _first_step_back(
    problem: Problem, manipulator: str, parameters: Parameters, record: LookaheadStep, adjoint: _Adjoint
) -> tuple[Parameters, Array]:
    """∇_φ J^O and the mean square of the credits, on one device.

    θ itself does not depend on φ, so nothing flows back through the first step's policy and optimiser state.
    """
    base = problem.shaped_by(manipulator)
    positions, _ = manipulator_terms(problem, base, manipulator)
    direction, _, _ = _through_optimizer(problem, base, record, adjoint)
    credit = _credits(problem, base, record, direction, positions)
    step = _to_manipulator(problem, manipulator, parameters, record, credit)
    return jax.tree.map(jnp.add, adjoint.manipulator, step), jnp.mean(jnp.square(credit))


def _to_manipulator(
    problem: Problem, manipulator: str, parameters: Parameters, record: LookaheadStep, own: Array
) -> Parameters:
    """mean_{e,t} [e plays with the manipulator] c_t ∇_φ log π_φ(b_t|o^φ_t), of its own credits."""
    base = problem.shaped_by(manipulator)
    _, terms = manipulator_terms(problem, base, manipulator)
    # policy_gradient averages over the manipulator's terms only; mean_e counts all terms of the base agent.
    share = len(terms) / len(problem.plan.base_terms[base])
    policy = problem.players[manipulator]
    return policy_gradient(policy, parameters, record.chunk, other_slots(terms), own * share).gradient


def _step_number(trace: LookaheadStep, number: Int[Array, ""]) -> LookaheadStep:
    return jax.tree.map(lambda leaf: leaf[number], trace)


def _through_optimizer(problem: Problem, base: str, record: LookaheadStep, adjoint: _Adjoint) -> tuple[Any, Any, Any]:
    """(d, ū, u⁰): the vjp of one optimiser step, at Adam's true moments and count."""
    state = record.optimizer[base]

    def step(gradient: Parameters, moments: list[Array], parameters: Parameters) -> tuple[Parameters, list[Array]]:
        parameters, following = problem.base_optimizer.look_ahead(
            gradient, _with_float_leaves(state, moments), parameters, problem.numbers.lookahead_rate
        )
        return parameters, _float_leaves(following)

    _, pull_back = jax.vjp(step, record.gradient[base], _float_leaves(state), record.base[base])
    return pull_back((adjoint.parameters, adjoint.optimizer))


def _credits(
    problem: Problem, base: str, record: LookaheadStep, direction: Parameters, numbers: Sequence[int]
) -> Float[Array, "time some envs"]:
    """The influence credits of some of the base agent's terms, by their numbers: s_t = ⟨d, ∇_θ log π_θ(a_t|o_t)⟩ by one
    forward-mode product, then c_t.
    """
    policy, terms = problem.players[base], [problem.plan.base_terms[base][number] for number in numbers]
    folded, along = jax.jvp(policy.fold, (record.base[base],), (direction,))

    def scores(recorded: tuple[View, ...]) -> Array:
        return jax.jvp(lambda p: policy.evaluate(p, recorded)[0], (folded,), (along,))[1]

    score = map_over_views(scores, record.chunk, policy, actor_slots(terms))
    first = _first_of_terms(record.chunk, [term.pairing for term in terms])
    advantage = take_static(record.advantage[base], numbers, axis=1)
    return influence_credits(score, advantage, first, problem.numbers.dice_decay)


def _through_gradient(
    problem: Problem, base: str, record: LookaheadStep, direction: Parameters, credit: Float[Array, "time terms envs"]
) -> Parameters:
    """∇_θ ⟨d, g(θ)⟩, the derivative of the base gradient along d.

    ∇_θ Σ ρ_t Ã_t has the value Σ c_t ∇_θ log π where c_t is a constant, and s_t carries the policy's curvature.
    """
    policy, numbers = problem.players[base], problem.numbers
    folded, unfold = jax.vjp(policy.fold, record.base[base])
    _, along = jax.jvp(policy.fold, (record.base[base],), (direction,))

    def of_block(recorded: tuple[View, ...], credit_of_block: Array, advantage: Array) -> Parameters:
        def along_direction(parameters: Parameters) -> Array:
            (log_prob, _), (score, change_of_entropy) = jax.jvp(
                lambda p: policy.evaluate(p, recorded), (parameters,), (along,)
            )
            total = jnp.sum(credit_of_block * log_prob + advantage * score)
            return (total + numbers.entropy * jnp.sum(change_of_entropy)) / credit.size

        return jax.grad(along_direction)(folded)

    slots = actor_slots(problem.plan.base_terms[base])
    return unfold(sum_over_views(of_block, record.chunk, policy, slots, credit, record.advantage[base]))[0]


def _first_of_terms(chunk: Chunk, pairings: list[int]) -> Array:
    return take_static(chunk.first, pairings, axis=1)


def autodiff_influence(
    problem: Problem, manipulator: str, parameters: dict[str, Parameters], trace: LookaheadStep, outer: Parameters
) -> Influence:
    """∇_φ J^O by differentiating through the whole lookahead on the recorded chunks; the closed form's oracle.

    Args:
        problem: what the run is about.
        manipulator: whose gradient.
        parameters: every manipulator's φ.
        trace: the recorded lookahead steps, stacked.
        outer: u at θ′; J^O is linear around θ′ as far as its gradient goes.
    """
    base = problem.shaped_by(manipulator)
    pairings = [term.pairing for term in problem.plan.base_terms[base]]

    def ahead_of(own: Parameters) -> Parameters:
        everyone = {**parameters, manipulator: own}

        def one_step(carry, record: LookaheadStep):
            theta, optimizer = carry
            first = _first_of_terms(record.chunk, pairings)
            gradient = jax.grad(base_surrogate, argnums=2)(
                problem, base, theta, everyone, record.chunk, record.advantage[base], first
            )
            return problem.base_optimizer.look_ahead(gradient, optimizer, theta, problem.numbers.lookahead_rate), None

        start = jax.tree.map(lambda leaf: leaf[0], (trace.base[base], trace.optimizer[base]))
        (ahead, _), _ = jax.lax.scan(one_step, start, trace)
        return ahead

    _, pull_back = jax.vjp(ahead_of, parameters[manipulator])
    (gradient,) = pull_back(outer)
    return Influence(gradient, None)


def _float_leaves(state: OptimizerState) -> list[Array]:
    """The differentiable part of an optimiser's state (Adam's moments, not its count)."""
    return [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def _with_float_leaves(state: OptimizerState, moments: list[Array]) -> OptimizerState:
    """``state`` with its differentiable part replaced."""
    replaced = iter(moments)
    return jax.tree.map(lambda leaf: next(replaced) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, state)
