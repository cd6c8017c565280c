"""Attacks in matrix games, where what comes out is known."""

import json

import numpy as np
import pytest

import rpax
from rpax.objectives import make_plan
from rpax.runs.attack_target import find_target, mirrored, prepare_attack
from rpax.runs.directory import RunDirectory
from rpax.runs.run import start

# With row probabilities (0.8, 0.2): C returns 0.8, D 0.2 and E −1. E is nobody's best response.
VICTIM = [0.8, 0.2]
EXACT = {"exact": True, "updates": 600, "base_rate": 0.5}


def test_an_adversarial_policy_sabotages(tmp_path):
    found = rpax.attack(VICTIM, "matrix/figure-2", "ap", out=tmp_path / "attack", replays=1, **EXACT)
    assert np.argmax(found.run.results[0].policies["adversary"][1]) == 2
    assert found.verdict.name == "sabotage"
    returns = found.returns
    assert returns.before_with == "a best response to it, trained here"
    assert returns.before.together.mean == pytest.approx(0.8, abs=0.02)
    assert returns.under_attack.by_seat[0].mean == pytest.approx(-1, abs=0.02)
    # Whoever plays with E gets −1.
    assert returns.partners["best_response"].together.mean == pytest.approx(-1, abs=0.02)
    assert returns.episodes == 0
    document = json.loads((tmp_path / "attack" / "attack.json").read_text())
    assert document == json.loads(json.dumps(found.to_dict()))
    assert document["verdict"]["name"] == "sabotage"
    assert document["shares"]["victim_under_attack"] == pytest.approx(0.0, abs=0.01)
    assert [(r["seat_0"], r["seat_1"], r["rank"], r["of"]) for r in document["replays"]] == [
        ("victim", "adversary", 1, 64)
    ]
    assert document["replays"][0]["returns"] == [-1.0, -1.0]
    for name in ("attack.png", "best_response.safetensors", "replays/worst-1-victim-adversary.gif", "results.json"):
        assert (tmp_path / "attack" / name).is_file()


def test_a_rational_adversary_shows_the_weakness():
    found = rpax.attack(VICTIM, "matrix/figure-2", exact=True, updates=1500)
    assert np.argmax(found.run.results[0].policies["adversary"][1]) == 1
    assert found.returns.under_attack.together.mean == pytest.approx(0.2, abs=0.02)
    # Who knows it plays row B and gets 1.
    assert found.returns.partners["best_response"].together.mean == pytest.approx(1, abs=0.05)
    assert found.verdict.name == "real weakness"
    assert found.worst == ()
    assert "real weakness" in repr(found)


@pytest.fixture(scope="module")
def at_rpg():
    return rpax.train("at-rpg", "matrix/figure-2", exact=True, updates=300, partner_play=0.2)


def test_a_victim_of_a_run_in_memory_played_with_its_training_partner(at_rpg):
    found = rpax.attack(at_rpg, agent="victim", algorithm="ap", best_response=False, updates=300, base_rate=0.5)
    assert found.run.config.exact
    assert found.returns.before_with == "its training partner adversary"
    victim, adversary = (at_rpg.results[0].policies[name][seat] for name, seat in (("victim", 0), ("adversary", 1)))
    payoffs = np.array([[1, 0, -1], [0, 1, -1]])
    assert found.returns.before.together.mean == pytest.approx(victim @ payoffs @ adversary, abs=1e-9)
    assert found.best_response is None
    assert found.verdict.name == "unclear"


def test_a_victim_of_seat_1_is_attacked_from_seat_0(at_rpg):
    found = rpax.attack(at_rpg, agent="adversary", algorithm="ap", best_response=False, updates=5)
    plan = make_plan(found.run.objective)
    assert plan.seats_of("victim") == (1,)
    assert plan.seats_of("adversary") == (0,)
    # In its weights 0.8 and 0.2; a partner may be called like the one under attack.
    assert found.returns.before_with == "its training partners victim, manipulator"
    policies = at_rpg.results[0].policies
    rows = 0.2 * policies["victim"][0] + 0.8 * policies["manipulator"][0]
    expected = rows @ np.array([[1, 0, -1], [0, 1, -1]]) @ policies["adversary"][1]
    assert found.returns.before.by_seat[1].mean == pytest.approx(expected, abs=1e-9)


def test_mirrored_twice_is_the_same():
    objective = rpax.algorithm("paired-a-rpg", sides="single")
    assert make_plan(mirrored(objective)).seats_of("adversary") == (0,)
    assert mirrored(mirrored(objective)) == objective


def test_a_target_is_found_without_its_seed_or_name(finished_run, tmp_path):
    target = find_target(f"{finished_run}:1:victim")
    assert (target.agent, target.seed, target.seats) == ("victim", 1, (0,))
    assert target.source == f"{finished_run}:1:victim"
    assert find_target(str(finished_run), "adversary").source == f"{finished_run}:adversary"
    assert find_target("[0.5, 0.5]").config is None
    config, objective = prepare_attack(target, None, "ap-rpg", {})
    assert (config.environment, config.exact, config.victim) == ("matrix/figure-2", True, target.source)
    assert objective.fixed == ("victim",)
    # Another environment than that of its run takes nothing else over.
    config, _ = prepare_attack(target, "matrix/figure-13", "ap", {"updates": 3})
    assert (config.environment, config.exact, config.updates) == ("matrix/figure-13", False, 3)


def test_an_attack_that_was_only_trained_is_judged_later(finished_run, tmp_path, no_plots):
    from rpax.runs.attack import evaluate_attack

    target = find_target(f"{finished_run}:1:victim")
    config, objective = prepare_attack(target, None, "ap", {"updates": 3})
    directory = RunDirectory.create(tmp_path / "attack", config, objective)
    start(config, objective, directory, environment="matrix/figure-2", fixed={}, progress=lambda *arguments: None)
    found = evaluate_attack(rpax.load(tmp_path / "attack"), best_response=False, replays=0)
    assert found.returns.before_with == "its training partner adversary"
    expected = rpax.load(finished_run).results[1].returns("victim", "adversary")[0]
    assert found.returns.before.together.mean == pytest.approx(expected, abs=1e-9)
    assert (tmp_path / "attack" / "attack.json").is_file()
    assert not (tmp_path / "attack" / "replays").exists()


def test_other_runs_are_no_attacks(at_rpg):
    from rpax.runs.attack import evaluate_attack

    with pytest.raises(rpax.InputError, match="'at-rpg' is no attack; it needs one fixed agent 'victim'"):
        evaluate_attack(at_rpg)
    with pytest.raises(rpax.InputError, match="an attack trains one seed"):
        rpax.attack(VICTIM, "matrix/figure-2", seeds=2)


@pytest.fixture(scope="module")
def kept_run(tmp_path_factory):
    """A single base agent, with the policies of updates 2 and 4 kept; it plays both seats."""
    path = tmp_path_factory.mktemp("kept") / "run"
    rpax.train("sp", "matrix/custom", payoffs=[[1, 0], [0, 1]], exact=True, updates=4, snapshots=1, out=path)
    return path


def test_an_earlier_policy_of_a_run_is_attacked_however_it_is_named(kept_run, tmp_path, no_plots):
    updates = rpax.load(kept_run).snapshots("base_0")
    assert len(updates) > 1
    for text, agent, update, written in (
        (f"{kept_run}:base_0@first", None, "first", "base_0@first"),
        (f"{kept_run}:0:base_0@{updates[0]}", None, updates[0], f"0:base_0@{updates[0]}"),
        (str(kept_run), "base_0@last", "last", "base_0@last"),
        (str(kept_run), None, None, "base_0"),
    ):
        target = find_target(text, agent)
        assert (target.agent, target.update, target.source) == ("base_0", update, f"{kept_run}:{written}")
    expected = rpax.load(kept_run).agent("base_0", update=updates[0])
    seen = np.eye(1)
    settings = {"updates": 2, "best_response": False, "replays": 0}
    for number, (victim, agent) in enumerate(
        [(f"{kept_run}:base_0@{updates[0]}", None), (kept_run, f"base_0@{updates[0]}"),
         (rpax.load(kept_run), f"base_0@{updates[0]}")]
    ):  # fmt: skip
        found = rpax.attack(victim, algorithm="ap", agent=agent, out=tmp_path / str(number), **settings)
        attacked = found.run.agent("victim")
        np.testing.assert_allclose(attacked.probabilities(seen, 0), expected.probabilities(seen, 0), rtol=1e-6)
    last = rpax.load(kept_run).agent("base_0").probabilities(seen, 0)
    assert not np.allclose(last, expected.probabilities(seen, 0), rtol=1e-6), "the test could tell"


def test_an_attack_on_an_earlier_policy_is_judged_later(kept_run, tmp_path, no_plots):
    from rpax.runs.attack import evaluate_attack

    first = f"{kept_run}:base_0@first"
    run = rpax.train(
        "ap", "matrix/custom", payoffs=[[1, 0], [0, 1]], victim=first, exact=True, updates=2, out=tmp_path / "run"
    )
    found = evaluate_attack(run, best_response=False, replays=0)
    assert found.victim == first
    assert found.returns.before_with == "itself"
