"""The manipulators' gradient ∇_φ [ J^O(θ′(φ)) + β_φ H(φ) ] through the lookahead: in closed form, and by autodiff.

The closed form needs no higher-order autodiff: differentiate the optimiser once, push the result through the base
policy once, and what comes out are advantages for the manipulator (the influence credits). See ``docs/method.md``.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rpax.estimators.influence import influence_credits
from rpax.objectives.plan import Term
from rpax.policies.agent import Parameters, View
from rpax.slices import take_static
from rpax.training.base_update import base_parts, base_surrogate, manipulator_terms, policy_gradient
from rpax.training.lookahead import LookaheadStep, first_step
from rpax.training.optimizers import OptimizerState
from rpax.training.parts import Part, for_each, views
from rpax.training.problem import Problem
from rpax.training.recorded import map_over_views, sum_over_views
from rpax.training.rollout import Chunk
from rpax.training.slots import actor_slots, other_slots


def outer_gradients_on_device(
    problem: Problem, ahead: Mapping[str, Parameters], chunk: Chunk, advantage: Mapping[str, Array]
) -> dict[str, Parameters]:
    """u = ∇_θ′ J^O(θ′): the ordinary policy gradient of each manipulator's shaped base for its edges, on one device."""

    def of_manipulator(part: Part, ahead: Parameters, advantage: Array) -> Parameters:
        return policy_gradient(part, ahead, chunk, advantage).gradient

    shaped = {name: problem.shaped_by(name) for name in problem.manipulators}
    terms = problem.plan.outer_terms
    parts = {name: Part.of(problem.players[base], actor_slots(terms[name])) for name, base in shaped.items()}
    return for_each(of_manipulator, parts, {name: ahead[base] for name, base in shaped.items()}, advantage)


class Influence(NamedTuple):
    """A manipulator's gradient and how it came about.

    Attributes:
        gradient: ∇_φ [ J^O(θ′(φ)) + β_φ H(φ) ], with the mean entropy H of what the manipulator did in the first
            lookahead step.
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
    """∇_φ [ J^O + β_φ H ] by influence credits, of every manipulator.

    Backwards over the lookahead steps, (u, ū) being the derivative of J^O in (θ^{k+1}, state^{k+1}):

        (d, ū, u⁰) ← vjp of the optimiser's step (g, state, θ) ↦ (θ′, state′), applied to (u, ū)
        s_t = ⟨d, ∇_θ log π_θ(a_t|o_t)⟩ for every term of the base agent (one jvp)
        c_t = influence credits of (s, Ã)
        ∇_φ J^O += mean_{e,t} [e plays with the manipulator] c_t ∇_φ log π_φ(b_t|o^φ_t)
        u ← u⁰ + ∇_θ ( mean_{e,t} (stop(c_t) log π_θ + Ã_t s_t) + β ⟨d, ∇_θ H⟩ )

    and β_φ ∇_φ H, an ordinary entropy bonus on what the manipulator did in the first step, in the end.

    Args:
        problem: what the run is about.
        manipulators: every manipulator's φ.
        trace: the recorded lookahead steps, stacked.
        outer: u at θ′ of every manipulator.
    """

    def one_step_back(adjoints: dict[str, _Adjoint], number: Array) -> tuple[dict[str, _Adjoint], None]:
        record = _step_number(trace, number)
        back, through_gradient = _step_back(problem, manipulators, record, adjoints)
        through_gradient = problem.devices.mean(through_gradient)
        following = {
            name: its._replace(parameters=jax.tree.map(jnp.add, its.parameters, through_gradient[name]))
            for name, its in back.items()
        }
        return following, None

    adjoints = {name: _last_adjoint(problem, name, manipulators[name], trace, u) for name, u in outer.items()}
    if problem.numbers.lookahead > 1:
        adjoints, _ = jax.lax.scan(one_step_back, adjoints, jnp.arange(1, problem.numbers.lookahead), reverse=True)
    found = problem.devices.mean(_first_step_back(problem, manipulators, first_step(trace), adjoints))
    return {name: Influence(gradient, jnp.sqrt(squared)) for name, (gradient, squared) in found.items()}


def _last_adjoint(
    problem: Problem, manipulator: str, parameters: Parameters, trace: LookaheadStep, outer: Parameters
) -> _Adjoint:
    """At θ′: u, and nothing yet in the optimiser's state and φ."""
    optimizer = jax.tree.map(lambda leaf: leaf[-1], trace.optimizer[problem.shaped_by(manipulator)])
    moments = [jnp.zeros_like(leaf) for leaf in _float_leaves(optimizer)]
    return _Adjoint(outer, moments, jax.tree.map(jnp.zeros_like, parameters))


def _step_back(
    problem: Problem, manipulators: Mapping[str, Parameters], record: LookaheadStep, adjoints: Mapping[str, _Adjoint]
) -> tuple[dict[str, _Adjoint], dict[str, Parameters]]:
    """One step back, on one device: adjoints with u⁰ only, and what flows back through the step's gradients."""
    back = {name: _through_optimizer(problem, name, record, its) for name, its in adjoints.items()}
    directions = {name: direction for name, (direction, _, _) in back.items()}
    everything = {name: range(len(_base_terms(problem, name))) for name in adjoints}
    credit = _credits(problem, record, directions, everything)
    own = {name: take_static(its, _own_terms(problem, name), axis=1) for name, its in credit.items()}
    steps = _to_manipulators(problem, manipulators, record, own)
    following = {
        name: _Adjoint(through_optimizer, moments, jax.tree.map(jnp.add, adjoints[name].manipulator, steps[name]))
        for name, (_, moments, through_optimizer) in back.items()
    }
    return following, _through_gradients(problem, record, directions, credit)


def _first_step_back(
    problem: Problem, manipulators: Mapping[str, Parameters], record: LookaheadStep, adjoints: Mapping[str, _Adjoint]
) -> dict[str, tuple[Parameters, Array]]:
    """∇_φ [ J^O + β_φ H ] and the mean square of the credits of each manipulator, on one device.

    θ itself does not depend on φ, so nothing flows back through the first step's policies and optimiser states.
    """
    directions = {name: _through_optimizer(problem, name, record, its)[0] for name, its in adjoints.items()}
    credit = _credits(problem, record, directions, {name: _own_terms(problem, name) for name in adjoints})
    steps = _to_manipulators(problem, manipulators, record, credit, problem.numbers.manipulator_entropy)
    return {
        name: (jax.tree.map(jnp.add, its.manipulator, steps[name]), jnp.mean(jnp.square(credit[name])))
        for name, its in adjoints.items()
    }


def _base_terms(problem: Problem, manipulator: str) -> tuple[Term, ...]:
    """The terms of the base agent that a manipulator shapes."""
    return problem.plan.base_terms[problem.shaped_by(manipulator)]


def _own_terms(problem: Problem, manipulator: str) -> tuple[int, ...]:
    """Which of them are played with the manipulator."""
    return manipulator_terms(problem, problem.shaped_by(manipulator), manipulator)[0]


def _to_manipulators(
    problem: Problem,
    manipulators: Mapping[str, Parameters],
    record: LookaheadStep,
    own: Mapping[str, Array],
    entropy: float = 0.0,
) -> dict[str, Parameters]:
    """mean_{e,t} [e plays with the manipulator] c_t ∇_φ log π_φ(b_t|o^φ_t), of each manipulator's own credits.

    And ``entropy`` times the gradient of its mean entropy.
    """

    def of_manipulator(part: Part, parameters: Parameters, credit: Array) -> Parameters:
        return policy_gradient(part, parameters, record.chunk, credit, entropy).gradient

    weighted = {}
    for name, credit in own.items():
        # policy_gradient averages over the manipulator's terms only; mean_e counts all terms of the base agent.
        weighted[name] = credit * (credit.shape[1] / len(_base_terms(problem, name)))
    parts = {name: _manipulator_part(problem, name) for name in own}
    return for_each(of_manipulator, parts, manipulators, weighted)


def _manipulator_part(problem: Problem, manipulator: str) -> Part:
    """Where the manipulator sits in the terms of its base agent."""
    _, terms = manipulator_terms(problem, problem.shaped_by(manipulator), manipulator)
    return Part.of(problem.players[manipulator], other_slots(terms))


def _step_number(trace: LookaheadStep, number: Int[Array, ""]) -> LookaheadStep:
    return jax.tree.map(lambda leaf: leaf[number], trace)


def _through_optimizer(
    problem: Problem, manipulator: str, record: LookaheadStep, adjoint: _Adjoint
) -> tuple[Any, Any, Any]:
    """(d, ū, u⁰): the vjp of one optimiser step, at Adam's true moments and count."""
    base = problem.shaped_by(manipulator)
    state = record.optimizer[base]

    def step(gradient: Parameters, moments: list[Array], parameters: Parameters) -> tuple[Parameters, list[Array]]:
        parameters, following = problem.base_optimizer.look_ahead(
            gradient, _with_float_leaves(state, moments), parameters, problem.numbers.lookahead_rate
        )
        return parameters, _float_leaves(following)

    _, pull_back = jax.vjp(step, record.gradient[base], _float_leaves(state), record.base[base])
    return pull_back((adjoint.parameters, adjoint.optimizer))


def _credits(
    problem: Problem,
    record: LookaheadStep,
    directions: Mapping[str, Parameters],
    numbers: Mapping[str, Sequence[int]],
) -> dict[str, Float[Array, "time some envs"]]:
    """The influence credits of some terms, by their numbers, of each manipulator's base agent.

    s_t = ⟨d, ∇_θ log π_θ(a_t|o_t)⟩ by one forward-mode product, then c_t.
    """

    def of_manipulator(part: Part, parameters: Parameters, direction: Parameters) -> Array:
        folded, along = jax.jvp(part.policy.fold, (parameters,), (direction,))

        def scores(recorded: tuple[View, ...]) -> Array:
            return jax.jvp(lambda p: part.policy.evaluate(p, recorded)[0], (folded,), (along,))[1]

        return map_over_views(scores, record.chunk, part, as_played=True)

    terms = {name: [_base_terms(problem, name)[number] for number in its] for name, its in numbers.items()}
    base = {name: problem.shaped_by(name) for name in numbers}
    parts = {name: Part.of(problem.players[base[name]], actor_slots(its)) for name, its in terms.items()}
    scores = for_each(of_manipulator, parts, {name: record.base[base[name]] for name in numbers}, directions)
    found = {}
    for name, score in scores.items():
        first = _first_of_terms(record.chunk, [term.pairing for term in terms[name]])
        advantage = take_static(record.advantage[base[name]], numbers[name], axis=1)
        found[name] = influence_credits(score, advantage, first, problem.numbers.dice_decay)
    return found


def _through_gradients(
    problem: Problem, record: LookaheadStep, directions: Mapping[str, Parameters], credit: Mapping[str, Array]
) -> dict[str, Parameters]:
    """∇_θ ⟨d, g(θ)⟩, the derivative of each manipulator's base gradient along d.

    ∇_θ Σ ρ_t Ã_t has the value Σ c_t ∇_θ log π where c_t is a constant, and s_t carries the policy's curvature.
    """
    base = {name: problem.shaped_by(name) for name in directions}
    everyone = base_parts(problem)
    return for_each(
        functools.partial(_through_gradient, record.chunk, problem.numbers.entropy),
        {name: everyone[its] for name, its in base.items()},
        {name: record.base[its] for name, its in base.items()},
        directions,
        credit,
        {name: record.advantage[its] for name, its in base.items()},
    )


def _through_gradient(
    chunk: Chunk,
    entropy: float | Float[Array, ""],
    part: Part,
    parameters: Parameters,
    direction: Parameters,
    credit: Float[Array, "time terms envs"],
    advantage: Float[Array, "time terms envs"],
) -> Parameters:
    folded, unfold = jax.vjp(part.policy.fold, parameters)
    _, along = jax.jvp(part.policy.fold, (parameters,), (direction,))

    def of_block(recorded: tuple[View, ...], credit_of_block: Array, advantage: Array) -> Parameters:
        def along_direction(parameters: Parameters) -> Array:
            (log_prob, _), (score, change_of_entropy) = jax.jvp(
                lambda p: part.policy.evaluate(p, recorded), (parameters,), (along,)
            )
            total = jnp.sum(credit_of_block * log_prob + advantage * score)
            return (total + entropy * jnp.sum(change_of_entropy)) / credit.size

        return jax.grad(along_direction)(folded)

    return unfold(sum_over_views(of_block, chunk, part, credit, advantage, as_played=True))[0]


def _first_of_terms(chunk: Chunk, pairings: list[int]) -> Array:
    return take_static(chunk.first, pairings, axis=1)


def autodiff_influence(
    problem: Problem, manipulator: str, parameters: dict[str, Parameters], trace: LookaheadStep, outer: Parameters
) -> Influence:
    """∇_φ [ J^O + β_φ H ] by autodiff through the whole lookahead on the recorded chunks; the closed form's oracle.

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

    def bonus_of(own: Parameters) -> Float[Array, ""]:
        part = _manipulator_part(problem, manipulator)
        recorded = views(first_step(trace).chunk, part)
        _, entropy = part.policy.evaluate(part.policy.fold(own), recorded)
        return problem.numbers.manipulator_entropy * jnp.mean(entropy)

    own = parameters[manipulator]
    (_, bonus), pull_back = jax.vjp(lambda own: (ahead_of(own), bonus_of(own)), own)
    (gradient,) = pull_back((outer, jnp.ones_like(bonus)))
    return Influence(gradient, None)


def _float_leaves(state: OptimizerState) -> list[Array]:
    """The differentiable part of an optimiser's state (Adam's moments, not its count)."""
    return [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def _with_float_leaves(state: OptimizerState, moments: list[Array]) -> OptimizerState:
    """``state`` with its differentiable part replaced."""
    replaced = iter(moments)
    return jax.tree.map(lambda leaf: next(replaced) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, state)
