"""One update of Rational Policy Gradient with exact gradients: Algorithm 1 on games that can be written down.

Every return U(π_0, π_1) is a polynomial in the action probabilities, so nothing is sampled and no critic is needed.
Edges are summed with their weights, not averaged or normalised, so learning rates do not carry over from sampled mode.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rpax.environments.tabular_game import TabularGame
from rpax.estimators.exact import exact_returns, exact_values, mixed_play_starts
from rpax.objectives.plan import Pairing, Term
from rpax.policies.agent import Parameters
from rpax.training.metrics import StepMetrics, norms
from rpax.training.problem import Problem, TrainState


def exact_step(problem: Problem, state: TrainState) -> tuple[TrainState, StepMetrics]:
    """θ, φ → θ, φ after one update. Algorithms without manipulators have line 5 only."""
    problem = problem.at(state.update)
    # 1, 2.  θ′(φ): θ′ ← θ;  repeat N times: θ′ ← θ′ + α1 ∇_θ′ L(θ′, φ)
    # 3, 4.  φ ← φ + α2 ∇_φ L^O(θ′(φ))
    gradients = {name: exact_manipulator_gradient(problem, state, name) for name in problem.manipulators}
    manipulators, manipulator_optimizer = {}, {}
    for name, gradient in gradients.items():
        manipulators[name], manipulator_optimizer[name] = problem.manipulator_optimizer.ascend(
            gradient, state.manipulator_optimizer[name], state.manipulators[name], problem.numbers.manipulator_rate
        )

    # 5.  θ ← θ + α3 ∇_θ L(θ, φ), the gradient of the first lookahead step
    base_gradients = exact_base_gradients(problem, state.base, {**state.manipulators, **state.partners})
    base, base_optimizer = {}, {}
    for name, gradient in base_gradients.items():
        base[name], base_optimizer[name] = problem.base_optimizer.ascend(
            gradient, state.base_optimizer[name], state.base[name], problem.numbers.base_rate
        )

    following = state._replace(
        base=base,
        base_optimizer=base_optimizer,
        manipulators=manipulators,
        manipulator_optimizer=manipulator_optimizer,
        update=state.update + 1,
    )
    return following, _exact_metrics(problem, state, base_gradients, gradients)


def exact_look_ahead(
    problem: Problem, state: TrainState, manipulators: Mapping[str, Parameters]
) -> dict[str, Parameters]:
    """θ′(φ) after N steps; φ flows through the shaped base agents (through all of them with ``influence="joint"``)."""

    def one_step(carry, _):
        base, optimizer = carry
        gradients = exact_base_gradients(problem, base, manipulators)
        ahead = {
            name: problem.base_optimizer.look_ahead(
                gradients[name], optimizer[name], base[name], problem.numbers.lookahead_rate
            )
            for name in problem.bases
        }
        base, optimizer = ({name: pair[part] for name, pair in ahead.items()} for part in (0, 1))
        return (base, optimizer), None

    start = (dict(state.base), dict(state.base_optimizer))
    (ahead, _), _ = jax.lax.scan(one_step, start, length=problem.numbers.lookahead)
    return ahead


def exact_manipulator_gradient(problem: Problem, state: TrainState, manipulator: str) -> Parameters:
    """∇_φ L^O(θ′(φ)) of one manipulator (plus its entropy bonus), by autodiff through the lookahead."""

    def outer(parameters: Parameters) -> Float[Array, ""]:
        given = {**state.manipulators, **state.partners, manipulator: parameters}
        ahead = exact_look_ahead(problem, state, given)
        shaped = ahead[problem.shaped_by(manipulator)]
        # Only the shaped base carries φ; in "joint" mode everybody's lookahead does.
        others = ahead if problem.numbers.influence == "joint" else jax.lax.stop_gradient(ahead)
        terms, pairings = problem.plan.outer_terms[manipulator], problem.plan.outer_pairings
        total = _objective(problem, terms, pairings, shaped, {**others, **state.partners})
        if problem.numbers.manipulator_entropy:
            total += problem.numbers.manipulator_entropy * _mean_entropy(problem, manipulator, parameters)
        return total

    return jax.grad(outer)(state.manipulators[manipulator])


def exact_base_gradients(
    problem: Problem, base: Mapping[str, Parameters], manipulators: Mapping[str, Parameters]
) -> dict[str, Parameters]:
    """∇_θ L(θ, φ) of every base agent; what base agents do opposite it (itself in self-play too) is a constant.

    With ``manipulators`` come the state's partners.
    """
    others = base if problem.numbers.influence == "joint" else jax.lax.stop_gradient(dict(base))
    return {
        name: jax.grad(_base_objective, argnums=2)(problem, name, base[name], {**others, **manipulators})
        for name in base
    }


def _base_objective(problem: Problem, name: str, own: Parameters, everyone: Mapping[str, Parameters]) -> Array:
    """L of one base agent plus β times its entropy, averaged over states and seats."""
    total = _objective(problem, problem.plan.base_terms[name], problem.plan.lookahead_pairings, own, everyone)
    if problem.numbers.has_entropy_bonus:
        total += problem.numbers.entropy * _mean_entropy(problem, name, own)
    return total


def _objective(
    problem: Problem,
    terms: Sequence[Term],
    pairings: Sequence[Pairing],
    own: Parameters,
    everyone: Mapping[str, Parameters],
) -> Float[Array, ""]:
    """Σ_terms weight · U_beneficiary; the actor of each term plays ``own``, whoever sits opposite plays its own."""
    total, game = jnp.zeros(()), _training_game(problem)

    def table(agent: str, seat: int, parameters: Parameters) -> Array:
        return problem.policies[agent].table(parameters, seat, game.all_observations())

    for term in terms:
        pairing = pairings[term.pairing]
        players = (pairing.seat_0, pairing.seat_1)
        others = [table(agent, seat, _parameters_of(problem, agent, everyone)) for seat, agent in enumerate(players)]
        policies = list(others)
        policies[term.actor_seat] = table(players[term.actor_seat], term.actor_seat, own)
        if pairing.mixed_with is None:
            returns = returns_of(game, policies[0], policies[1])
        else:
            mixed_in = _parameters_of(problem, pairing.mixed_with, everyone)
            mixed = [(its + table(pairing.mixed_with, seat, mixed_in)) / 2 for seat, its in enumerate(others)]
            returns = mixed_play_returns(game, (policies[0], policies[1]), (mixed[0], mixed[1]))
        total += term.weight * returns[term.beneficiary_seat]
    return total


def mixed_play_returns(
    game: TabularGame, policies: tuple[Array, Array], mixed: tuple[Array, Array]
) -> Float[Array, "2"]:
    """What play returns after a beginning in which ``mixed`` play; differentiable in ``policies`` only.

    Episodes that end in their beginning return nothing.
    """
    tables = jnp.asarray(game.next_state), jnp.asarray(game.payoffs)
    # Where an episode's beginning leads is no merit of the policies that are played from there on.
    starts = jax.lax.stop_gradient(mixed_play_starts(tables[0], *mixed, horizon=game.horizon))
    return starts @ exact_values(*tables, *policies, horizon=game.horizon)


def returns_of(game: TabularGame, policy_0: Array, policy_1: Array) -> Float[Array, "2"]:
    """U(π_0, π_1) of a game."""
    return exact_returns(
        jnp.asarray(game.next_state), jnp.asarray(game.payoffs), policy_0, policy_1, horizon=game.horizon
    )


def _parameters_of(problem: Problem, agent: str, everyone: Mapping[str, Parameters]) -> Parameters:
    return problem.fixed[agent] if agent in problem.fixed else everyone[agent]


def _game(problem: Problem) -> TabularGame:
    assert isinstance(problem.environment, TabularGame), "exact mode is offered for tabular games only"
    return problem.environment


def _training_game(problem: Problem) -> TabularGame:
    """What training plays: the game, or its average over symmetries."""
    game = problem.training_game or problem.environment
    assert isinstance(game, TabularGame), "exact mode is offered for tabular games only"
    return game


def _mean_entropy(problem: Problem, name: str, parameters: Parameters) -> Float[Array, ""]:
    policy = problem.policies[name]
    tables = [policy.table(parameters, seat, _game(problem).all_observations()) for seat in policy.head_of_seat]
    # 0 log 0 = 0 with a finite derivative: the logarithm never sees a zero.
    return -jnp.mean(jnp.stack([jnp.mean(jnp.sum(t * jnp.log(jnp.maximum(t, 1e-30)), axis=-1)) for t in tables]))


def _exact_metrics(problem: Problem, state: TrainState, base_gradients, gradients) -> StepMetrics:
    manipulator_norms = norms(gradients)
    return StepMetrics(
        base_gradient_norm=norms(base_gradients),
        manipulator_gradient_norm=manipulator_norms,
        influence=manipulator_norms,
        entropy={name: _mean_entropy(problem, name, state.base[name]) for name in problem.bases},
        clipped={},
        critic_loss=jnp.zeros(()),
        episode_return_sum={},
        episodes={},
    )
