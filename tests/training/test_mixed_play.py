"""Mixed-play against enumeration, in exact mode and from sampled play."""

import dataclasses
import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.errors import InputError
from rpax.estimators.advantages import normalize_pooled
from rpax.objectives.plan import MixedPairing, Pairing
from rpax.policies.sources import find_agent
from rpax.runs.config import TrainConfig
from rpax.training.base_update import base_gradients, term_advantages
from rpax.training.critic_update import appraise
from rpax.training.exact_step import exact_base_gradients
from rpax.training.initial import initial_state
from rpax.training.mixed_play import draw_mixing, first_mixed_steps, mix_actions, next_mixed_steps
from rpax.training.problem import key_data
from rpax.training.rollout import draw_keys, roll_out_training
from rpax.training.setup import make_problem

ALPHA, BETA = 0.4, 0.7
COMEDI = rpax.Objective(
    {"own": "base", "other": "fixed"},
    [
        rpax.ObjectiveEdge("own", "own", "own"),
        rpax.ObjectiveEdge("own", "own", "other", weight=-ALPHA),
        rpax.ObjectiveEdge("own", "own", "own", weight=BETA, mixed_with="other"),
    ],
)


def tabular_problem(game, *, exact, objective=COMEDI, **settings):
    config = TrainConfig("x", game.name, exact=exact, network="tabular", precision="float64", **settings).complete()
    rng = np.random.default_rng(5)
    heads = {f"seat_{seat}": {"params": {"table": rng.normal(size=(game.num_states, 2))}} for seat in (0, 1)}
    policy = make_problem(config, rpax.algorithm("sp"), game).policies["base_0"]
    return make_problem(config, objective, game, {"other": (policy, heads)})


def tables_of(problem, parameters):
    return [
        np.asarray(problem.policies["own"].table(parameters, seat, jnp.eye(problem.environment.num_states)))
        for seat in (0, 1)
    ]


def play_out(game, state, first, second):
    """The expected return of seat 0 from a state, by recursion over joint actions."""
    total = 0.0
    for a, b in itertools.product(range(2), repeat=2):
        following = int(game.next_state[state, a, b])
        value = float(game.payoffs[state, a, b, 0]) + (
            play_out(game, following, first, second) if following >= 0 else 0
        )
        total += first[state, a] * second[state, b] * value
    return total


def beginnings(game, own, other):
    """Every history of a mixed beginning: (probability, state), all lengths from 1 to the last step equally likely."""
    lengths = range(1, game.horizon) if game.horizon > 1 else [0]
    for length in lengths:
        alive = [(1.0 / len(lengths), 0)]
        for _ in range(length):
            following = []
            for chance, state in alive:
                # Who plays each seat is a fair coin of its own, then each draws an action.
                for who, a, b in itertools.product(itertools.product((own, other), repeat=2), range(2), range(2)):
                    step = 0.25 * who[0][0][state, a] * who[1][1][state, b]
                    following.append((chance * step, int(game.next_state[state, a, b])))
            alive = [(chance, state) for chance, state in following if state >= 0 and chance > 0]
        yield from alive


def comedi_return(game, own, other, at):
    """J_SP − α J_XP + β J_MP over both seats; ``own`` sits where it learns, ``at`` opposite it in self-play."""
    total = 0.0
    starts = list(beginnings(game, at, other))
    for seat in (0, 1):

        def pair(mine, theirs, seat=seat):
            return (mine[0], theirs[1]) if seat == 0 else (theirs[0], mine[1])

        total += play_out(game, 0, *pair(own, at)) - ALPHA * play_out(game, 0, *pair(own, other))
        total += BETA * sum(chance * play_out(game, state, *pair(own, at)) for chance, state in starts)
    return total


@pytest.mark.parametrize("name", ["extensive/g2", "extensive/g3", "matrix/custom"])
def test_the_exact_gradient_is_that_of_the_enumerated_objective(name):
    game = rpax.make(name, **({"payoffs": [[1, 0.2], [0.1, 0.9]]} if name == "matrix/custom" else {}))
    with jax.enable_x64(True):
        problem = tabular_problem(game, exact=True)
        own = initial_state(problem, key_data(3), exact=True).base["own"]
        gradient = exact_base_gradients(problem, {"own": own}, {})["own"]
        other = tables_of(problem, problem.fixed["other"])
        at = tables_of(problem, own)
        for seat in (0, 1):
            table = np.asarray(own[f"seat_{seat}"]["params"]["table"])
            found = np.asarray(gradient[f"seat_{seat}"]["params"]["table"])
            for place in np.ndindex(*table.shape):
                ends = []
                for sign in (1, -1):
                    moved = table.copy()
                    moved[place] += sign * 1e-5
                    tables = list(at)
                    tables[seat] = np.exp(moved) / np.exp(moved).sum(axis=1, keepdims=True)
                    ends.append(comedi_return(game, tables, other, at))
                assert found[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


def test_sampled_beginnings_are_the_enumerated_ones():
    game = rpax.make("extensive/g3")
    problem = tabular_problem(game, exact=False, envs=4000, steps=12, normalize=False)
    with jax.enable_x64(True):
        state = initial_state(problem, key_data(0), exact=False)
        pairings = problem.plan.lookahead_pairings
        chunk, _ = jax.jit(lambda p, k, s: roll_out_training(problem, p, pairings, k, s))(
            state.base, key_data(7), state.lookahead_streams
        )
        own, other = (tables_of(problem, p) for p in (state.base["own"], problem.fixed["other"]))
    mixed = next(n for n, pairing in enumerate(pairings) if pairing.mixed_with)
    counted, done = np.asarray(chunk.counted), np.asarray(chunk.done)
    assert all(counted[:, n].all() for n in range(len(pairings)) if n != mixed)
    expected = np.zeros(game.num_states)
    for chance, number in beginnings(game, own, other):
        expected[number] += chance
    # A step that counts and whose predecessor did not is where a beginning led.
    seen = np.asarray(chunk.observations[0])[1:, mixed].argmax(-1)
    begins = counted[1:, mixed] & ~counted[:-1, mixed]
    # g3 takes three steps whatever happens, so that none of its beginnings ends the episode.
    episodes = begins.sum()
    frequencies = np.bincount(seen[begins], minlength=game.num_states) / episodes
    np.testing.assert_allclose(frequencies, expected, atol=5 * np.sqrt(0.25 / episodes))
    assert expected.sum() == pytest.approx(1)
    assert (~counted[:-1, mixed] & done[:-1, mixed]).sum() == 0


def test_from_the_switch_on_the_agent_plays_with_itself():
    """Deterministic players tell who acted: the one that learns always takes action 0, the other one action 1."""
    game = rpax.make("extensive/g3")
    problem = tabular_problem(game, exact=False, envs=64, steps=9)
    sure = {head: {"params": {"table": jnp.array([[50.0, -50.0]] * 5)}} for head in ("seat_0", "seat_1")}
    unlike = jax.tree.map(jnp.negative, sure)
    problem = dataclasses.replace(problem, fixed={"other": unlike})
    with jax.enable_x64(True):
        state = initial_state(problem, key_data(0), exact=False)
        chunk, _ = roll_out_training(
            problem, {"own": sure}, problem.plan.lookahead_pairings, key_data(1), state.lookahead_streams
        )
    mixed = next(n for n, pairing in enumerate(problem.plan.lookahead_pairings) if pairing.mixed_with)
    actions, counted = np.asarray(chunk.actions)[:, mixed], np.asarray(chunk.counted)[:, mixed]
    assert (actions[counted] == 0).all()
    begun = actions[~counted]
    # Each seat by itself, with equal chances.
    combinations = np.bincount(2 * begun[:, 0] + begun[:, 1], minlength=4) / len(begun)
    np.testing.assert_allclose(combinations, 0.25, atol=5 * np.sqrt(0.1875 / len(begun)))


def test_the_sampled_gradient_is_the_exact_one():
    """A mean over 6 terms and over steps, of which every episode of g3 has 3: a 18th of Σ weight ∇U.

    That holds for mixed-play too, as its beginnings are among the steps.
    """
    game, batches = rpax.make("extensive/g3"), 60
    with jax.enable_x64(True):
        problem = tabular_problem(
            game, exact=False, envs=100, steps=30, normalize=False, discount=1.0, gae_decay=1.0, entropy=0.0
        )
        terms, pairings = {"own": problem.plan.base_terms["own"]}, problem.plan.lookahead_pairings
        state = initial_state(problem, key_data(2), exact=False)

        def gradient(key):
            start = initial_state(problem, key, exact=False).lookahead_streams
            chunk, _ = roll_out_training(problem, state.base, pairings, jax.random.fold_in(key, 9), start)
            advantage = appraise(problem, state, pairings, chunk, learn=False).advantage
            of_terms = term_advantages(problem, terms, advantage, chunk.counted)
            return base_gradients(problem, state.base, chunk, of_terms)["own"].gradient

        keys = jnp.stack([key_data(seed) for seed in range(batches)])
        sampled = jax.jit(lambda keys: jax.lax.map(gradient, keys))(keys)
        exact = exact_base_gradients(tabular_problem(game, exact=True), state.base, {})["own"]
    for found, expected in zip(jax.tree.leaves(sampled), jax.tree.leaves(exact), strict=True):
        found = 18 * np.asarray(found)
        error = found.std(axis=0, ddof=1) / np.sqrt(batches)
        assert (np.abs(found.mean(axis=0) - np.asarray(expected)) <= 5 * error + 1e-12).all()
        assert np.abs(np.asarray(expected)).max() > 5 * error.max(), "the test could tell"


@pytest.mark.parametrize(("horizon", "possible"), [(1, {0}), (2, {1}), (5, {1, 2, 3, 4})])
def test_how_many_steps_are_mixed(horizon, possible):
    pairings = [Pairing("a", "a"), MixedPairing("a", "a", "b")]
    first = np.asarray(first_mixed_steps(pairings, jax.random.key(0), 200, horizon))
    drawn = draw_mixing(draw_keys(jax.random.key(1), (2, 200)))
    ended = jnp.ones((2, 200), bool)
    following = np.asarray(next_mixed_steps(pairings, drawn, jnp.asarray(first), ended, horizon))
    for steps in (first, following):
        assert set(steps[1].tolist()) == possible
        assert (steps[0] == 0).all()
    later = np.asarray(next_mixed_steps(pairings, drawn, jnp.asarray(first), ~ended, horizon))
    np.testing.assert_array_equal(later, np.maximum(first - 1, 0))


def test_what_does_not_count_changes_nothing():
    """The critics and advantages of mixed-play are the same whatever was paid in the beginnings."""
    game = rpax.make("extensive/g3")
    found = []
    for update in ("pg", "ppo"):
        problem = tabular_problem(game, exact=False, envs=8, steps=9, base_update=update)
        with jax.enable_x64(True):
            state = initial_state(problem, key_data(0), exact=False)
            chunk, _ = roll_out_training(
                problem, state.base, problem.plan.lookahead_pairings, key_data(1), state.lookahead_streams
            )
            paid = chunk._replace(rewards=chunk.rewards + 9.0 * ~chunk.counted[..., None])
            one, other = (
                appraise(problem, state, problem.plan.lookahead_pairings, c, learn=True) for c in (chunk, paid)
            )
        jax.tree.map(np.testing.assert_array_equal, one, other)
        assert (np.asarray(one.advantage)[~np.asarray(chunk.counted)] == 0).all()
        found.append(one.advantage)
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_normalisation_is_over_what_counts():
    rng = np.random.default_rng(0)
    advantages, counted = rng.normal(size=(6, 5)), rng.random((6, 5)) < 0.6
    with jax.enable_x64(True):
        found = normalize_pooled({"a": jnp.asarray(advantages * counted)}, counted={"a": jnp.asarray(counted)})["a"]
    there = advantages[counted]
    np.testing.assert_allclose(np.asarray(found)[counted], (there - there.mean()) / (there.std() + 1e-8), rtol=1e-12)
    assert (np.asarray(found)[~counted] == 0).all()


def test_agents_with_memory_are_refused():
    import small_game

    del small_game
    environment = rpax.make("small/ring")
    config = TrainConfig("x", "small/ring", network="gru", memory_units=4).complete(tabular=False)
    policy = make_problem(config, rpax.algorithm("sp"), environment).policies["base_0"]
    given = SimpleNamespace(parameters=policy.init(key_data(0)))
    with pytest.raises(InputError, match="mixed-play needs agents without memory"):
        make_problem(config, COMEDI, environment, {"other": (policy, given.parameters)})


def test_a_function_that_is_mixed_in_is_told_what_is_legal():
    game, envs = rpax.make("hanabi/3x3"), 2

    def last_legal(observations, legal):
        return legal.shape[1] - 1 - legal[:, ::-1].argmax(axis=1)

    state = jax.vmap(game.traced_rules.reset)(jax.random.split(jax.random.key(0), envs))
    observations, legal = jax.vmap(game.observe)(state), jax.vmap(game.legal_actions)(state)
    # In every step it is its turn in both seats; its distribution leaves nothing to chance.
    for function in (last_legal, rpax.jax_policy(last_legal)):
        agent = find_agent(function, game)
        actions = mix_actions(
            {"other": agent.policy},
            {"other": agent.parameters},
            [MixedPairing("own", "own", "other")],
            tuple(seen[None] for seen in observations),
            tuple(mask[None] for mask in legal),
            jnp.zeros((1, envs, 5)),
            jnp.ones((1, envs), jnp.int32),
            jnp.zeros((1, envs, 2), jnp.int32),
        )
        last = [[max(np.flatnonzero(mask[number])) for mask in legal] for number in range(envs)]
        np.testing.assert_array_equal(np.asarray(actions)[0], last)
    assert any(action != mask.shape[-1] - 1 for action, mask in zip(last[0], legal, strict=True)), "the mask matters"
