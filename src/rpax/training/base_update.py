"""The base agents' objective and its gradient."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rpax.estimators.advantages import normalize_pooled
from rpax.estimators.loaded_dice import loaded_dice
from rpax.objectives.plan import Term
from rpax.policies.agent import Parameters, View
from rpax.training.parts import Part, for_each, views
from rpax.training.problem import Problem
from rpax.training.recorded import sum_over_views
from rpax.training.rollout import Chunk
from rpax.training.slots import actor_slots, other_slots


def term_advantages(
    problem: Problem,
    terms: Mapping[str, Sequence[Term]],
    advantage: Float[Array, "time pairings envs 2"],
    counted: Bool[Array, "time pairings envs"] | None = None,
) -> dict[str, Float[Array, "time terms envs"]]:
    """Ã of some learners: their beneficiaries' advantages, times the edges' weights, each learner's then normalised.

    Advantages in steps that do not count are 0, and stay so.
    """
    weighted = {name: _weighted(its, advantage) for name, its in terms.items()}
    if problem.numbers.normalize:
        there = None
        if counted is not None:
            there = {name: counted[:, np.array([term.pairing for term in its])] for name, its in terms.items()}
        weighted = normalize_pooled(weighted, average=problem.devices.mean, counted=there)
    return jax.lax.stop_gradient(weighted)


def _weighted(terms: Sequence[Term], advantage: Array) -> Float[Array, "time terms envs"]:
    pairing = np.array([term.pairing for term in terms])
    seat = np.array([term.beneficiary_seat for term in terms])
    weight = jnp.asarray([term.weight for term in terms], advantage.dtype)
    # Advanced indices around a slice put the term axis first.
    return jnp.moveaxis(advantage[:, pairing, :, seat], 0, 1) * weight[:, None]


class PolicyGradient(NamedTuple):
    """A gradient, and the mean entropy in nats of the policy it was taken at."""

    gradient: Parameters
    entropy: Float[Array, ""]


def policy_gradient(
    part: Part,
    parameters: Parameters,
    chunk: Chunk,
    advantage: Float[Array, "time terms envs"],
    entropy: float | Float[Array, ""] = 0.0,
) -> PolicyGradient:
    """∇_θ [ mean_{e,t} Ã_{e,t} log π_θ(a_t | o_t) + β H ]: first order, Loaded DiCE has just this gradient.

    Args:
        part: whose, and where the agent sits, a slot for each term.
        parameters: θ, with which the agent played.
        chunk: what was recorded.
        advantage: Ã.
        entropy: β.
    """

    def of_block(recorded: tuple[View, ...], advantage_of_block: Array) -> tuple[Parameters, Array]:
        def objective(parameters: Parameters) -> tuple[Array, Array]:
            log_prob, entropies = part.policy.evaluate(parameters, recorded)
            total = entropies.sum() / advantage.size
            return jnp.sum(advantage_of_block * log_prob) / advantage.size + entropy * total, total

        return jax.grad(objective, has_aux=True)(folded)

    folded, unfold = jax.vjp(part.policy.fold, parameters)
    gradient, mean_entropy = sum_over_views(of_block, chunk, part, advantage, as_played=True)
    return PolicyGradient(unfold(gradient)[0], mean_entropy)


def base_gradients(
    problem: Problem, parameters: Mapping[str, Parameters], chunk: Chunk, advantage: Mapping[str, Array]
) -> dict[str, PolicyGradient]:
    """g = ∇_θ L(θ, φ) of every base agent on a recorded chunk (of one device): all its edges plus the entropy bonus."""

    def of_agent(part: Part, parameters: Parameters, advantage: Array) -> PolicyGradient:
        return policy_gradient(part, parameters, chunk, advantage, problem.numbers.entropy)

    return for_each(of_agent, base_parts(problem), parameters, advantage)


def base_parts(problem: Problem) -> dict[str, Part]:
    """What every base agent plays in the pairings of the lookahead: a slot for each of its terms."""
    terms = problem.plan.base_terms
    return {name: Part.of(problem.players[name], actor_slots(terms[name])) for name in problem.bases}


def manipulator_terms(problem: Problem, base: str, manipulator: str) -> tuple[tuple[int, ...], tuple[Term, ...]]:
    """Which of the base agent's terms are played with the manipulator: their positions, and the terms."""
    terms = problem.plan.base_terms[base]
    positions = tuple(number for number, term in enumerate(terms) if term.other == manipulator)
    return positions, tuple(terms[number] for number in positions)


def base_surrogate(
    problem: Problem,
    base: str,
    parameters: Parameters,
    manipulators: Mapping[str, Parameters],
    chunk: Chunk,
    advantage: Float[Array, "time terms envs"],
    first: Bool[Array, "time terms envs"],
) -> Float[Array, ""]:
    """J_base(θ, φ) = mean_{e,t} ρ_t Ã_t + β H, to be differentiated in θ and in the manipulators' φ, in any order.

    The log-probabilities of base partners (also the agent's own in self-play) are constants, which leave Loaded DiCE
    unchanged, so they are not computed at all.
    """
    policy = problem.players[base]
    recorded = views(chunk, Part.of(policy, actor_slots(problem.plan.base_terms[base])))
    log_prob, entropy = policy.evaluate(policy.fold(parameters), recorded)
    for manipulator in problem.manipulators_of(base):
        positions, terms = manipulator_terms(problem, base, manipulator)
        its_policy = problem.players[manipulator]
        its_views = views(chunk, Part.of(its_policy, other_slots(terms)))
        its_parameters = its_policy.fold(manipulators[manipulator])
        log_prob = log_prob.at[:, np.array(positions)].add(its_policy.evaluate(its_parameters, its_views)[0])
    dice = loaded_dice(log_prob, advantage, first, problem.numbers.dice_decay)
    return jnp.mean(dice) + problem.numbers.entropy * jnp.mean(entropy)
