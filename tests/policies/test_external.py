"""Functions that are called back from compiled rollouts, or traced into them, beside networks inside JAX."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_game

import rpax
from rpax.environments.jaxmarl.hanabi import make_hanabi
from rpax.errors import InputError
from rpax.evaluation.episodes import Player
from rpax.evaluation.returns import make_sampler
from rpax.objectives.plan import make_plan
from rpax.policies.agent import make_agent_policy
from rpax.policies.external import NEVER, External, Traced, asking
from rpax.policies.networks import MLP
from rpax.policies.sources import find_agent
from rpax.runs.agent import Agent
from rpax.runs.config import TrainConfig
from rpax.runs.prepare import prepare
from rpax.runs.session import make_trainer
from rpax.training.rollout import roll_out_training
from rpax.training.setup import make_problem

SETTINGS: dict[str, Any] = {"envs": 2, "steps": 3, "hidden_sizes": (4,), "lookahead": 1, "evaluation_episodes": 4}


def problem_of(partner: Any, *, game: str = "small/ring", algorithm: str = "br", **settings: Any):
    """A problem in which ``partner`` is the fixed partner of ``br``, or the victim of an attack."""
    role = "partner" if algorithm == "br" else "victim"
    config, objective = prepare(TrainConfig(algorithm, game, **SETTINGS | settings), given=[role])
    environment = rpax.make(game)
    agent = find_agent(partner, environment, make_plan(objective).seats_of(role), name=role)
    return config, make_problem(config, objective, environment, {role: (agent.policy, agent.parameters)})


def network_agent() -> Agent:
    """A network for both seats of ``small/ring`` that is far from uniform."""
    game = rpax.make("small/ring")
    policy = make_agent_policy(game.spaces, (0, 1), shared=True, make_network=lambda n: MLP(n, (4,), output_scale=3.0))
    return Agent("network", policy, jax.device_get(policy.init(jax.random.key(7))))


class Spy:
    """Stays where the own cell is even and goes right elsewhere; remembers all that it was asked."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        self.seen.append(observations)
        return 1 + observations[:, : small_game.CELLS].argmax(axis=1) % 2


@pytest.mark.parametrize("game", ["small/ring", "small/picture"])
def test_the_actions_of_a_rollout_are_what_the_function_answered_to_what_it_saw(game):
    spy = Spy()
    if game == "small/picture":
        flat = spy

        def looks(observations):
            assert observations.shape[1:] == (1, small_game.CELLS, 2)
            return flat(observations[:, 0].transpose(0, 2, 1).reshape(len(observations), -1))

        config, problem = problem_of(looks, game=game)
    else:
        config, problem = problem_of(spy, game=game)
        assert problem.encodings is not None, "the partner does not keep learners from what is stored"
    spy.seen.clear()
    trainer = make_trainer(config, problem)
    state = jax.tree.map(lambda leaf: leaf[0], trainer.init())
    pairings = problem.plan.lookahead_pairings
    play = jax.jit(lambda base, key, streams: roll_out_training(problem, base, pairings, key, streams))
    chunk, _ = jax.device_get(play(state.base, _key(), state.lookahead_streams))
    assert len(spy.seen) == SETTINGS["steps"]
    seats = [(seat, i) for i, pairing in enumerate(pairings) for seat in (0, 1) if pairing[seat] == "partner"]
    assert {seat for seat, _ in seats} == {0, 1}
    asked = 0
    for seat, i in sorted(seats):
        for t, seen in enumerate(spy.seen):
            rows = seen[asked : asked + SETTINGS["envs"]]
            own = rows[:, : small_game.CELLS].argmax(axis=1)
            np.testing.assert_array_equal(chunk.actions[t, i, :, seat], 1 + own % 2)
            # The own cell and the other's, as the rules lead there: the next step starts from them.
            if t and not chunk.first[t, i].any():
                before = spy.seen[t - 1][asked : asked + SETTINGS["envs"], : small_game.CELLS].argmax(axis=1)
                np.testing.assert_array_equal(own, (before + before % 2) % small_game.CELLS)
        asked += SETTINGS["envs"]


def test_a_function_sees_observations_as_the_environment_shows_them():
    seen: list[np.ndarray] = []

    def watch(observations):
        seen.append(observations)
        return np.ones(len(observations), int)

    config, problem = problem_of(watch)
    assert problem.encodings is not None
    make_sampler(problem, 4)(jax.tree.map(lambda leaf: leaf[0], make_trainer(config, problem).init().base), _key())
    assert all(its.dtype == np.uint8 and its.shape[1:] == (11,) for its in seen)
    # Two cells, one-hot, and the layer that is not stored.
    assert all((its.sum(axis=1) == 3).all() and (its[:, -1] == 1).all() for its in seen)


def _key():
    return jax.random.key_data(jax.random.key(5))


@pytest.mark.parametrize("traced", [False, True], ids=["called back", "traced"])
def test_a_networks_own_probabilities_give_the_episodes_of_the_network(traced):
    network = network_agent()

    def as_function(observations):
        return network.probabilities(jnp.asarray(observations))

    function = rpax.jax_policy(as_function) if traced else lambda seen: np.asarray(as_function(seen))
    game, found = rpax.make("small/ring"), []
    function_agent = find_agent(function, game)
    kind = Traced if traced else External
    assert isinstance(function_agent.policy.networks["shared"], kind)
    for agent in (network, function_agent):
        config, problem = problem_of(agent)
        learner = jax.tree.map(lambda leaf: leaf[0], make_trainer(config, problem).init().base)
        found.append(make_sampler(problem, 40)(learner, _key()))
    np.testing.assert_array_equal(found[0].mean, found[1].mean)
    np.testing.assert_array_equal(found[0].half_width, found[1].half_width)
    assert found[0].mean.any()


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"seeds": 2, "precision": "float64"}, marks=pytest.mark.slow),
        {"algorithm": "ap-rpg", "lookahead": 1},
    ],
)
def test_training_against_a_function_equals_training_against_the_network(settings):
    network, found = network_agent(), []
    for victim in (network, lambda seen: np.asarray(network.probabilities(jnp.asarray(seen)))):
        config, problem = problem_of(victim, **settings)
        state, _ = make_trainer(config, problem).advance(make_trainer(config, problem).init(), 2)
        found.append(jax.device_get(state.base))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *found)


def test_what_goes_wrong_in_the_middle_of_training_is_one_line_and_not_logged(tmp_path, caplog, no_plots):
    asked = []

    def tires(observations):
        asked.append(len(observations))
        if len(asked) > 8:
            raise OSError("the table is gone")
        return np.ones(len(observations), int)

    with pytest.raises(InputError, match=r"^partner: function 'tires' raised OSError: the table is gone$"):
        rpax.train("br", "small/ring", partner=tires, updates=10, log_every=1, **SETTINGS)
    assert not caplog.records


def test_a_function_that_answers_nonsense_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"partner: function '<lambda>' returned action 3; actions are 0 to 2"):
        rpax.train(
            "br", "small/ring", partner=lambda seen: np.full(len(seen), 3), updates=2, out=tmp_path / "run", **SETTINGS
        )
    assert not (tmp_path / "run").exists()
    wrong = rpax.jax_policy(lambda seen: jnp.zeros((len(seen), 2)))
    with pytest.raises(InputError, match=r"returned float32\[3, 2\] for 3 observations; return actions"):
        find_agent(wrong, rpax.make("small/ring"))
    branches = rpax.jax_policy(lambda seen: jnp.ones(len(seen), int) if seen.sum() > 3 else jnp.zeros(len(seen), int))
    with pytest.raises(InputError, match=r"raised TracerBoolConversionError.*choose with jnp\.where"):
        problem_of(branches)


def test_a_function_that_takes_its_seat_has_a_head_for_each():
    def by_seat(observations, seat):
        return np.full(len(observations), 2 * seat)

    agent = find_agent(by_seat, rpax.make("small/ring"))
    assert agent.policy.head_of_seat == {0: "seat_0", 1: "seat_1"}
    seen = jnp.zeros((2, 11), jnp.uint8)
    np.testing.assert_array_equal(agent.probabilities(seen, 0), np.eye(3)[[0, 0]])
    np.testing.assert_array_equal(agent.probabilities(seen, 1), np.eye(3)[[2, 2]])
    logits = agent.policy.logits(agent.parameters, "seat_0", seen)
    np.testing.assert_array_equal(logits, np.where(np.eye(3)[[0, 0]] > 0, 0.0, np.float32(NEVER)))


def test_masks_reach_the_function_and_illegal_actions_are_named():
    game = make_hanabi("hanabi/3x3")
    waits = game.spaces[0].num_actions - 1

    def last_legal(observations, legal):
        return legal.shape[1] - 1 - legal[:, ::-1].argmax(axis=1)

    agent = find_agent(last_legal, game)
    episode = Player(game, greedy=False).play((agent, agent), jax.random.key(1))
    # Seat 0 begins, and the other one waits.
    legal = np.asarray(game.legal_actions(jax.tree.map(jnp.asarray, episode.states[0])))
    assert episode.actions[0].tolist() == [np.flatnonzero(legal[0])[-1], waits]
    with pytest.raises(InputError, match=rf"returned action {waits} \(wait\) where only 5, 6.* are legal; take"):
        find_agent(lambda seen: np.full(len(seen), waits), game)


def test_callbacks_are_not_spread_over_devices():
    config, problem = problem_of(Spy(), envs=32)
    assert make_trainer(config, problem)._mesh is None


def test_a_replay_asks_the_function():
    game = rpax.make("small/ring")
    right = find_agent(lambda seen: np.full(len(seen), 2), game)
    stays = find_agent(rpax.jax_policy(lambda seen: jnp.ones(len(seen), jnp.int32)), game)
    episode = Player(game, greedy=True).play((right, stays), jax.random.key(0))
    assert episode.actions.tolist() == [[2, 1]] * 5


def failing_program() -> Any:
    """A program that asks a function which gives up once it plays."""
    plays = False

    def gives_up(observations):
        if plays:
            raise ValueError("no more")
        return np.zeros(len(observations), int)

    agent = find_agent(gives_up, rpax.make("small/ring"))
    plays = True
    seen = jnp.zeros((2, 11), jnp.uint8)
    return lambda: jax.block_until_ready(jax.jit(lambda: agent.policy.logits({"shared": {}}, "shared", seen))())


def test_what_went_wrong_before_is_not_taken_for_what_goes_wrong_now():
    program = failing_program()
    with pytest.raises(jax.errors.JaxRuntimeError) as earlier:
        program()
    with pytest.raises(RuntimeError, match="something else") as found, asking():
        raise RuntimeError(f"something else, which quotes: {earlier.value}")
    assert not isinstance(found.value, InputError)


def test_asking_within_asking_forgets_nothing():
    program = failing_program()

    def fails_around_another():
        try:
            program()
        finally:
            with asking():
                pass

    with pytest.raises(InputError, match="no more"), asking():
        fails_around_another()
