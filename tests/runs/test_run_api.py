"""`rpax.train`, `rpax.load` and what they return, as a program uses them."""

import dataclasses
import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.environments import registry
from rpax.environments.tabular_game import TabularGame
from rpax.errors import InputError

pytestmark = pytest.mark.usefixtures("no_plots")

FIGURE_2 = np.array([[1, 0, -1], [0, 1, -1]])


def test_the_first_example_does_what_the_paper_says(trained_at_rpg):
    assert [result.seed for result in trained_at_rpg.results] == [0, 1]
    for result in trained_at_rpg.results:
        # The victim is robust to everything rational; the adversary never sabotages.
        np.testing.assert_allclose(result.policies["victim"][0], [0.5, 0.5], atol=0.02)
        adversary = result.policies["adversary"][1]
        assert adversary[2] < 0.02
        assert result.gaps["victim"][0] == pytest.approx(0, abs=0.02)
        row = result.policies["victim"][0]
        np.testing.assert_allclose(result.returns("victim", "adversary"), [row @ FIGURE_2 @ adversary] * 2, atol=1e-9)


def test_a_run_in_memory_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = rpax.train("sp", "matrix/figure-2", exact=True, updates=3)
    assert (run.path, run.status, run.update) == (None, "finished", 3)
    assert run.to_dict()["run_dir"] is None
    assert [row["update"] for row in run.metrics()] == [1, 2, 3]
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_loaded_is_the_run_that_was_trained(finished_run):
    loaded = rpax.load(finished_run)
    again = rpax.train("at-rpg", "matrix/figure-2", exact=True, seeds=2, updates=4)
    assert loaded.config == again.config
    assert loaded.objective == again.objective
    assert (loaded.status, loaded.update) == ("finished", 4)
    assert loaded.to_dict() == again.to_dict() | {"run_dir": str(finished_run)}
    assert loaded.to_dict() == json.loads((finished_run / "results.json").read_text())
    assert loaded.metrics() == again.metrics()
    for seed in (0, 1):
        for name in ("victim", "adversary", "manipulator"):
            stored, kept = loaded.agent(name, seed), again.agent(name, seed)
            assert stored.seats == kept.seats
            jax.tree.map(np.testing.assert_array_equal, stored.parameters, kept.parameters)


def test_an_agent_plays_the_policy_that_the_results_report(finished_run):
    run = rpax.load(finished_run)
    observations = jnp.ones((20_000, 1))
    for seed in (0, 1):
        agent = run.agent("adversary", seed=seed)
        policy = run.results[seed].policies["adversary"][1]
        np.testing.assert_allclose(agent.probabilities(observations[:2]), [policy] * 2, rtol=1e-5)
        actions = np.asarray(agent.act(observations, jax.random.key(seed)))
        frequencies = np.bincount(actions, minlength=3) / len(actions)
        # Four standard deviations of a frequency.
        assert (abs(frequencies - policy) < 4 * np.sqrt(policy * (1 - policy) / len(actions))).all()
        np.testing.assert_array_equal(agent.act(observations, jax.random.key(seed)), actions)
        assert (np.asarray(agent.act(observations, jax.random.key(seed + 9))) != actions).any()


def test_an_action_that_is_not_legal_is_never_taken(finished_run):
    agent = rpax.load(finished_run).agent("adversary")
    legal = jnp.array([[True, False, True]])
    assert agent.probabilities(jnp.ones((1, 1)), legal=legal)[0, 1] == 0
    actions = agent.act(jnp.ones((1000, 1)), jax.random.key(0), legal=jnp.repeat(legal, 1000, axis=0))
    assert set(np.unique(actions)) == {0, 2}


def test_agents_that_play_both_seats_are_asked_for_one():
    agent = rpax.train("sp", "matrix/figure-2", exact=True, updates=1).agent("base_0")
    assert agent.seats == (0, 1)
    assert agent.probabilities(jnp.ones((1, 1)), seat=0).shape == (1, 2)
    assert agent.probabilities(jnp.ones((1, 1)), seat=1).shape == (1, 3)
    with pytest.raises(InputError, match="a policy for each seat; give seat=0 or seat=1"):
        agent.act(jnp.ones((1, 1)), jax.random.key(0))
    with pytest.raises(InputError, match=r"plays seat 0, 1 only, not 2"):
        agent.probabilities(jnp.ones((1, 1)), seat=2)
    with pytest.raises(InputError, match=r"observations \(3, 2\) do not fit agent 'base_0'; give a batch of \(1,\)"):
        agent.probabilities(jnp.ones((3, 2)), seat=0)


def test_agents_and_seeds_that_do_not_exist_are_refused_by_name(finished_run):
    run = rpax.load(finished_run)
    with pytest.raises(InputError, match="no agent 'viktim'; did you mean 'victim'"):
        run.agent("viktim")
    with pytest.raises(InputError, match="no seed 5; it has 0, 1"):
        run.agent("victim", seed=5)


def test_runs_and_agents_print_as_one_line(finished_run):
    loaded = rpax.load(finished_run)
    about = "at-rpg on matrix/figure-2, seeds 0, 1, finished at update 4"
    assert repr(loaded) == f"<Run: {about}, in {finished_run}>"
    assert str(dataclasses.replace(loaded, path=None)) == f"<Run: {about}, in memory>"
    # One logit an action: two of seat 0, three of seat 1.
    assert repr(loaded.agent("victim")) == "<Agent 'victim': seats 0, 2 parameters>"
    both = rpax.train("sp", "matrix/figure-2", exact=True, updates=1, seeds=50)
    assert repr(both.agent("base_0")) == "<Agent 'base_0': seats 0, 1, 5 parameters>"
    assert "seeds 0, 1, 2, 3, 4, 5, ..., finished" in repr(both)
    large = dataclasses.replace(both.agent("base_0"), parameters={"seat_0": np.zeros((30, 40)), "seat_1": np.zeros(5)})
    assert "1,205 parameters" in repr(large)


def test_seeds_trained_together_are_the_same_as_each_alone():
    settings = {"updates": 3, "envs": 3, "lookahead": 1}
    both = rpax.train("at-rpg", "matrix/figure-2", seeds=[3, 7], **settings)
    alone = rpax.train("at-rpg", "matrix/figure-2", seeds=(7,), **settings)
    assert [result.seed for result in both.results] == [3, 7]
    for name in ("victim", "adversary", "manipulator"):
        ours, theirs = both.agent(name, seed=7), alone.agent(name)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), ours.parameters, theirs.parameters)
        assert not np.allclose(*(jax.tree.leaves(both.agent(name, seed).parameters)[0] for seed in (3, 7)), atol=1e-3)
    # Metrics of a seed too, up to rounding.
    for ours, theirs in zip([row for row in both.metrics() if row["seed"] == 7], alone.metrics(), strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours, theirs)


@pytest.mark.parametrize(("seeds", "expected"), [(2, (4, 5)), ([3, 7], (3, 7)), ((9,), (9,)), (range(1, 4), (1, 2, 3))])
def test_seeds_are_a_number_or_a_sequence(seeds, expected):
    from rpax.runs.run import config_of

    config = config_of("sp", "matrix/figure-2", {"seeds": seeds, "seed": 4})
    assert config.seed_list == expected


def test_a_fixed_agent_may_be_an_agent_in_hand_a_file_probabilities_or_uniform(finished_run):
    agent = rpax.load(finished_run).agent("victim", seed=1)
    policy = rpax.load(finished_run).results[1].policies["victim"][0]
    file = str(finished_run / "policies" / "seed-1" / "victim.safetensors")
    for victim, expected in [(agent, policy), (file, policy), (policy.tolist(), policy), ("uniform", [0.5, 0.5])]:
        run = rpax.train("ap", "matrix/figure-2", exact=True, updates=1, victim=victim)
        np.testing.assert_allclose(run.results[0].policies["victim"][0], expected, rtol=1e-6)
    run = rpax.train("ap", "matrix/figure-2", exact=True, updates=1, fixed={"victim": agent})
    np.testing.assert_allclose(run.results[0].policies["victim"][0], policy, rtol=1e-6)


def test_a_fixed_agent_may_be_a_function_from_observations_to_actions_or_probabilities():
    def second(observations):
        return np.ones(len(observations), dtype=int)

    def mixed(observations):
        return np.tile([0.25, 0.75], (len(observations), 1))

    for victim, expected in [(second, [0, 1]), (mixed, [0.25, 0.75])]:
        run = rpax.train("ap", "matrix/figure-2", exact=True, updates=1, victim=victim)
        np.testing.assert_allclose(run.results[0].policies["victim"][0], expected, atol=1e-12)
    with pytest.raises(InputError, match="returned action 2; actions are 0 to 1"):
        rpax.train("ap", "matrix/figure-2", exact=True, updates=1, victim=lambda seen: np.full(len(seen), 2))
    with pytest.raises(InputError, match="two seats with different actions; use --sides single"):
        rpax.train("ap", "matrix/figure-2", exact=True, updates=1, victim=second, sides="both")


def test_settings_may_be_numbers_and_arrays_of_numpy(tmp_path):
    run = rpax.train(
        "sp", "matrix/custom", payoffs=np.eye(2), exact=True, updates=np.int64(2), base_rate=np.float32(0.5),
        seeds=np.arange(2), out=tmp_path / "run",
    )  # fmt: skip
    assert rpax.load(tmp_path / "run").config == run.config
    assert run.config.seed_list == (0, 1)


def test_an_objective_in_python_trains_and_takes_no_options_of_the_catalogue():
    objective = rpax.Objective(
        agents={"cat": "base", "mouse": "base"},
        edges=[
            rpax.ObjectiveEdge(learner="cat", beneficiary="cat", partner="mouse", seats=(0,)),
            rpax.ObjectiveEdge(learner="mouse", beneficiary="cat", partner="mouse", weight=-1, seats=(0,)),
        ],
        name="chase",
    )
    run = rpax.train(objective, "matrix/figure-17", exact=True, updates=1)
    assert run.to_dict()["algorithm"] == "chase"
    assert run.results[0].policies.keys() == {"cat", "mouse"}
    with pytest.raises(InputError, match="population varies catalogue algorithms; build it into the Objective"):
        rpax.train(objective, "matrix/figure-17", population=3)


@pytest.mark.parametrize(
    ("arguments", "settings", "says"),
    [
        (("at-rpg", "matrix/figure-2"), {"lookahed": 3}, "'lookahed' is unknown; did you mean 'lookahead'"),
        (("at-rpg", "matrix/figure-2"), {"algorithm_": 3}, "did you mean 'algorithm'"),
        (("at-rpg", "matrix/figure-2"), {"victim": [0.5, 0.5]}, "no fixed agent 'victim'; leave --victim out"),
        (("sp", "matrix/figure-2"), {"fixed": {"rival": "uniform"}}, "no fixed agent 'rival'; leave it out"),
        (("ap", "matrix/figure-2"), {"victim": None}, "needs a fixed victim; give --victim"),
        (("ap", "matrix/figure-2"), {"victim": object()}, "no list of probabilities; write"),
    ],
)
def test_wrong_calls_are_refused_before_anything_is_written(arguments, settings, says, tmp_path):
    with pytest.raises(InputError, match=says):
        rpax.train(*arguments, exact=True, **settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_fixed_agent_without_an_option_of_its_own_says_how_to_give_it(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "agents: {rival: fixed, me: base}\nedges: [{learner: me, beneficiary: me, partner: rival}]\n"
    )
    with pytest.raises(InputError, match=r"call it victim or partner, or give it in Python as fixed=\{'rival'"):
        rpax.train(str(tmp_path / "mine.yaml"), "matrix/figure-2")
    run = rpax.train(str(tmp_path / "mine.yaml"), "matrix/figure-2", exact=True, updates=1, fixed={"rival": "uniform"})
    assert run.results[0].agents["rival"].role == "fixed"


ALL_SGD = {"base_optimizer": "sgd", "manipulator_optimizer": "sgd", "critic_optimizer": "sgd"}


class CoinState(NamedTuple):
    time: jax.Array
    coin: jax.Array


class Coins(rpax.Environment):
    """Three tosses; each pays seat 0 one and seat 1 two if it is heads, whatever anybody does. No table."""

    spaces = (rpax.SeatSpace((2,), 3), rpax.SeatSpace((2,), 3))
    horizon = 3

    def __init__(self, name: str = "mine/coins") -> None:
        self.name = name

    def reset(self, key):
        return CoinState(jnp.zeros((), jnp.int32), jax.random.bernoulli(key))

    def step(self, key, state, actions):
        heads = jax.random.bernoulli(key)
        rewards = jnp.where(heads, jnp.array([1.0, 2.0]), jnp.zeros(2))
        return rpax.Transition(CoinState(state.time + 1, heads), rewards, state.time == 2)

    def observe(self, state):
        seen = jnp.stack([state.time / 3, state.coin.astype(jnp.float32)])
        return seen, seen


@pytest.fixture
def coins():
    rpax.register("mine/coins", Coins, "tosses")
    yield rpax.make("mine/coins")
    del registry.ENVIRONMENTS["mine/coins"]


@pytest.mark.parametrize(("algorithm", "options"), [("sp", {}), ("at-rpg", {"sides": "single", **ALL_SGD})])
def test_an_environment_of_ones_own_trains_by_sampling_and_reports_how_sure_its_returns_are(algorithm, options, coins):
    sizes = {"updates": 2, "envs": 3, "steps": 3, "hidden_sizes": [4], "evaluation_episodes": 300}
    result = rpax.train(algorithm, coins, **sizes, **options).results[0]
    assert result.pairings
    for pairing in result.pairings:
        assert pairing.episodes >= 300
        assert pairing.half_width[0] > 0
        # The seats' returns are 1 and 2 times the same coins.
        np.testing.assert_allclose(pairing.returns[1], 2 * pairing.returns[0], rtol=1e-5)
        np.testing.assert_allclose(pairing.half_width[1], 2 * pairing.half_width[0], rtol=1e-5)
        # Three fair coins: mean 1.5 and variance 3/4, so 1.96 √(3/4n) is half the interval's width, within a fifth.
        assert pairing.half_width[0] == pytest.approx(1.96 * np.sqrt(0.75 / pairing.episodes), rel=0.2)
        assert abs(pairing.returns[0] - 1.5) < 2.5 * pairing.half_width[0]
    document = result.to_dict()
    assert all(entry["half_width"][0] > 0 for entry in document["pairings"])
    assert all("policy" not in agent and "rationality_gap" not in agent for agent in document["agents"].values())
    assert result == type(result).from_dict(json.loads(json.dumps(document)))


def scaled(name, scale=1.0):
    return TabularGame(name, np.full((1, 2, 2), -1), scale * np.ones((1, 2, 2, 2)))


def test_a_table_of_ones_own_trains_exactly_and_resumes_with_the_options_it_was_made_with(tmp_path):
    rpax.register("mine/scaled", scaled, tabular=True)
    try:
        game = rpax.make("mine/scaled", scale=3.0)
        stopped = rpax.train("sp", game, exact=True, updates=2, log_every=1, minutes=1e-9, out=tmp_path / "run")
        assert stopped.config.environment_options == {"scale": 3.0}
        resumed = rpax.resume(tmp_path / "run")
        assert (resumed.status, resumed.update) == ("finished", 2)
        assert resumed.results[0].returns("base_0", "base_0") == pytest.approx((3.0, 3.0))
    finally:
        del registry.ENVIRONMENTS["mine/scaled"]


def test_an_environment_that_is_no_table_has_no_exact_mode(coins):
    with pytest.raises(
        InputError, match="exact mode needs a normal-form or small extensive-form game, not 'mine/coins'"
    ):
        rpax.train("sp", coins, exact=True)
    with pytest.raises(InputError, match="'mine/coins' is already registered"):
        rpax.register("mine/coins", Coins)
