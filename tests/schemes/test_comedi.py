"""CoMeDi: whom an agent is pushed away from, and that conventions come out different."""

import json

import jax
import numpy as np
import pytest

import rpax
from rpax.runs.agent import Agent
from rpax.runs.config import config_from_dict
from rpax.runs.prepare import prepare
from rpax.schemes import SCHEMES
from rpax.schemes.compatible import MostCompatible
from rpax.schemes.stages import stage_seed

COORDINATION = np.diag([1.0, 0.9, 0.8])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("comedi") / "run"
    settings = {"exact": True, "updates": 600, "population": 3, "seeds": 2, "base_rate": 1.0, "log_every": 10}
    # With α > 1 + β no convention is a local optimum that an earlier agent has taken.
    weights = {"crossplay_weight": 2.0, "mixed_play_weight": 0.5}
    return rpax.train("comedi", "matrix/custom", payoffs=COORDINATION.tolist(), out=out, **settings, **weights)


def test_every_agent_finds_a_convention_of_its_own(run):
    for result in run.results:
        conventions = set()
        for name in ("base_0", "base_1", "base_2"):
            first, second = result.policies[name][0], result.policies[name][1]
            assert first.argmax() == second.argmax()
            assert result.returns(name, name)[0] > 0.7
            conventions.add(int(first.argmax()))
        assert conventions == {0, 1, 2}
        assert max(result.returns("base_2", other)[0] for other in ("base_0", "base_1")) < 0.1


def test_the_run_has_the_agents_of_its_stages(run):
    for number in range(3):
        stage = rpax.load(run.path / f"agent-{number}")
        for seed in (0, 1):
            own = stage_seed(seed, number, 3)
            assert own in stage.config.seed_list
            one, other = run.agent(f"base_{number}", seed), stage.agent(f"base_{number}", own)
            jax.tree.map(np.testing.assert_array_equal, one.parameters, other.parameters)
    assert len({stage_seed(seed, number, 3) for seed in (0, 1) for number in range(3)}) == 6


def test_the_most_compatible_earlier_agent_is_chosen_anew(run):
    """Every line says whom the learner did best with, the last partner is the last one chosen."""
    lines = [json.loads(line) for line in (run.path / "agent-2" / "partners.jsonl").read_text().splitlines()]
    stage = rpax.load(run.path / "agent-2")
    assert [line["update"] for line in lines if line["seed"] == lines[0]["seed"]] == list(range(0, 600, 30))
    for line in lines:
        assert line["cross_play"].keys() == {"base_0", "base_1"}
        assert line["partner"] == max(line["cross_play"], key=line["cross_play"].get)
    assert {line["partner"] for line in lines} == {"base_0", "base_1"}, "whom it evades is soon not the one to evade"
    for place, seed in enumerate(stage.config.seed_list):
        chosen = [line["partner"] for line in lines if line["seed"] == seed][-1]
        earlier = run.agent(chosen, run.config.seed_list[place])
        jax.tree.map(np.testing.assert_array_equal, stage.agent("partner", seed).parameters, earlier.parameters)


def test_cross_play_is_the_mean_of_both_orders():
    from rpax.runs.session import Session

    asked = {"algorithm": "comedi", "environment": "matrix/custom", "exact": True, "updates": 40, "population": 3}
    payoffs = np.array([[[1.0, 0.2], [0.0, 0.7]], [[0.5, 0.1], [0.3, 0.9]]])
    config, _ = prepare(config_from_dict(asked | {"payoffs": payoffs.tolist()}))
    scheme = SCHEMES["comedi"](config)
    rng = np.random.default_rng(1)

    def policies(policy, name):
        heads = {f"seat_{seat}": {"params": {"table": rng.normal(size=(1, 2))}} for seat in (0, 1)}
        return Agent(name, policy, heads)

    first = Session.begin(
        scheme.stages[0].config, scheme.stages[0].objective, None, environment="matrix/custom", fixed={}
    )
    policy = first.trainer.problem.policies["base_0"]
    earlier = {name: [policies(policy, name)] for name in ("base_0", "base_1")}
    stage = scheme.stages[2]
    partner = jax.tree.map(lambda leaf: leaf[None], earlier["base_0"][0].parameters)
    session = Session.begin(
        stage.config,
        stage.objective,
        None,
        environment="matrix/custom",
        fixed={},
        partners={"partner": (policy, partner)},
    )
    choose = MostCompatible.of(session, "base_2", "partner", earlier)

    def table(agent, seat):
        logits = np.asarray(agent[f"seat_{seat}"]["params"]["table"], float).reshape(-1)
        return np.exp(logits) / np.exp(logits).sum()

    own = jax.tree.map(lambda leaf: np.asarray(leaf[0]), session.state.base["base_2"])
    expected = {
        name: np.mean(
            [
                table(own, 0) @ payoffs[0] @ table(agent.parameters, 1),
                table(agent.parameters, 0) @ payoffs[1] @ table(own, 1),
            ]
        )
        for name, (agent,) in earlier.items()
    }
    parameters = {"base_2": own, **{name: agent.parameters for name, (agent,) in earlier.items()}}
    assert choose.cross_play(parameters, jax.random.key(0)) == pytest.approx(expected)
    best = max(expected, key=expected.get)
    for update, wanted in ((0, best), (1, "base_0"), (choose.every, best)):
        state = choose(session.state, update)
        found = jax.tree.map(lambda leaf: leaf[0], state.partners["partner"])
        jax.tree.map(np.testing.assert_array_equal, found, earlier[wanted][0].parameters)
