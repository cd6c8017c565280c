"""Fictitious co-play: who is in the pool, and that the agent learns from the mean over it."""

import json
import shutil

import jax
import numpy as np
import pytest

import rpax
from rpax.errors import InputError
from rpax.runs.config import TrainConfig
from rpax.schemes.fcp import half_trained
from rpax.training.exact_step import exact_base_gradients
from rpax.training.initial import initial_state
from rpax.training.problem import key_data
from rpax.training.setup import make_problem
from rpax.training.trainer import Trainer

PAYOFFS = np.array([[1.0, 0.0, 0.3], [0.2, 0.8, 0.0]])


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ([0.0, 1.0, 4.0, 9.0, 10.0], 2),
        ([0.0, 6.0, 4.0, 10.0], 1),
        ([9.0, 1.0, 2.0], 1),
        ([3.0, 4.0], 0),
        ([3.0], 0),
        ([0.0, -1.0, -2.9, -6.0], 2),
        ([-10.0, -9.0, -6.0, -2.0, -1.0], 2),
    ],
)
def test_the_half_trained_one_returns_nearest_to_half_way(returns, expected):
    assert half_trained(returns) == expected


def logits(agent, seat):
    return np.asarray(agent.parameters[f"seat_{seat}"]["params"]["table"])[0]


def softmax(values):
    return np.exp(values) / np.exp(values).sum()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("fcp") / "run"
    settings = {"exact": True, "updates": 60, "population": 2, "seeds": [0, 3], "base_rate": 1.0}
    return rpax.train("fcp", "matrix/custom", payoffs=PAYOFFS.tolist(), out=out, **settings)


def test_every_seed_has_its_own_pool_of_first_half_trained_and_last_policies(run):
    pool = rpax.load(run.path / "pool")
    assert pool.objective.name == "sp"
    assert pool.config.seed_list == (0, 1, 6, 7)
    assert run.config.seed_list == (0, 3)
    for seed, own in ((0, (0, 1)), (3, (6, 7))):
        for i, of_pool in enumerate(own):
            kept = [pool.agent("base_0", of_pool, update=update) for update in pool.snapshots("base_0", of_pool)]
            assert len(kept) == 12  # the first, ten on the way, the last
            returns = [softmax(logits(a, 0)) @ PAYOFFS @ softmax(logits(a, 1)) for a in kept]
            half = min(range(1, 11), key=lambda number: abs(returns[number] - (returns[0] + returns[-1]) / 2))
            for skill, agent in (("first", kept[0]), ("half", kept[half]), ("last", kept[-1])):
                found = run.agent(f"partner_{i}_{skill}", seed)
                jax.tree.map(np.testing.assert_array_equal, found.parameters, agent.parameters)


def test_results_are_those_of_the_agent_with_every_partner(run):
    for result in run.results:
        assert len(result.pairings) == 12
        for name in run.objective.fixed:
            own, other = run.agent("base_0", result.seed), run.agent(name, result.seed)
            expected = softmax(logits(own, 0)) @ PAYOFFS @ softmax(logits(other, 1))
            np.testing.assert_allclose(result.returns("base_0", name), expected, atol=1e-9)
            assert result.agents[name].role == "fixed"


def test_the_gradient_is_that_of_the_mean_return_with_the_pool():
    """∇ mean_k [ U(π, k) + U(k, π) ], of which each head sees one: with softmax p, p_a (value of a − mean value)."""
    rng = np.random.default_rng(0)
    objective, partners = rpax.algorithm("fcp", population=2), {}
    with jax.enable_x64(True):
        game = rpax.make("matrix/custom", payoffs=PAYOFFS.tolist())
        config = TrainConfig("fcp", "matrix/custom", payoffs=PAYOFFS.tolist(), exact=True, seeds=2).complete()
        policy = make_problem(config, rpax.algorithm("sp"), game).policies["base_0"]
        for name in objective.fixed:
            tables = {
                f"seat_{seat}": {"params": {"table": rng.normal(size=(2, 1, n))}} for seat, n in enumerate((2, 3))
            }
            partners[name] = (policy, tables)
        problem = make_problem(config, objective, game, partners=partners)
        states = Trainer(problem, (0, 1), True, "float64").init()
        for seed in (0, 1):
            own = jax.tree.map(lambda leaf, seed=seed: leaf[seed], states.base["base_0"])
            of_seed = jax.tree.map(lambda leaf, seed=seed: leaf[seed], states.partners)
            gradient = exact_base_gradients(problem, {"base_0": own}, of_seed)["base_0"]
            for seat, payoffs in ((0, PAYOFFS), (1, PAYOFFS.T)):
                others = [softmax(its[f"seat_{1 - seat}"]["params"]["table"][seed, 0]) for _, its in partners.values()]
                value = np.mean([payoffs @ other for other in others], axis=0)
                p = softmax(np.asarray(own[f"seat_{seat}"]["params"]["table"])[0])
                expected = p * (value - p @ value)
                np.testing.assert_allclose(gradient[f"seat_{seat}"]["params"]["table"][0], expected, atol=1e-12)


def test_partners_of_the_state_do_not_learn():
    with jax.enable_x64(True):
        game = rpax.make("matrix/figure-2")
        config = TrainConfig("x", "matrix/figure-2", exact=True, updates=3, base_rate=1.0).complete()
        policy = make_problem(config, rpax.algorithm("sp"), game).policies["base_0"]
        kept = policy.init(key_data(5))
        stacked = jax.tree.map(lambda leaf: np.asarray(leaf)[None], kept)
        problem = make_problem(
            config, rpax.algorithm("br", sides="both"), game, partners={"partner": (policy, stacked)}
        )
        trainer = Trainer(problem, (0,), True, "float64")
        before = initial_state(problem, key_data(0), exact=True, partners={"partner": kept})
        state, report = trainer.advance(trainer.init(), 3)
    jax.tree.map(lambda one, other: np.testing.assert_array_equal(one[0], other), state.partners["partner"], kept)
    moved = jax.tree.map(
        lambda one, other: np.abs(np.asarray(one[0]) - np.asarray(other)).max(), state.base, before.base
    )
    assert min(jax.tree.leaves(moved)) > 1e-3
    assert set(report.policies) == {"base_0", "partner"}


def test_the_pool_is_measured_once(tmp_path, monkeypatch, no_plots):
    settings = {"exact": True, "updates": 12, "population": 2}
    rpax.train("fcp", "matrix/figure-2", out=tmp_path / "run", **settings)
    chosen = json.loads((tmp_path / "run" / "pool.json").read_text())["half_trained"]
    (tmp_path / "run" / "results.json").unlink()
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    monkeypatch.setattr("rpax.schemes.measure.self_play_returns", None)
    resumed = rpax.resume(tmp_path / "run")
    pool = rpax.load(tmp_path / "run" / "pool")
    for i in range(2):
        half = pool.agent("base_0", i, update=chosen[str(i)])
        jax.tree.map(np.testing.assert_array_equal, resumed.agent(f"partner_{i}_half").parameters, half.parameters)
    (tmp_path / "run" / "results.json").unlink()
    (tmp_path / "run" / "pool.json").write_text("{}")
    with pytest.raises(InputError, match=r"pool\.json is damaged, it lacks 'half_trained'; remove it"):
        rpax.resume(tmp_path / "run")
