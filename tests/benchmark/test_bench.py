"""`rpax bench` reports what it promises."""

import json
import pathlib
import runpy
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.benchmark import phases, stopwatch
from rpax.benchmark.machine import peak_memory_bytes
from rpax.benchmark.measure import Measurement, env_steps_of_update
from rpax.cli.bench import Command, print_table
from rpax.cli.main import main
from rpax.cli.parse import parse
from rpax.environments.protocol import Environment, SeatSpace, Transition
from rpax.runs.config import TrainConfig, config_to_dict
from rpax.runs.session import make_trainer
from rpax.training.setup import make_problem


def bench(capsys, *arguments):
    assert main(["bench", *arguments, "--json", "--repetitions", "1"]) == 0
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err.splitlines()


def check_shares(document, names):
    shares = document["phases"]
    assert [*shares] == names
    assert sum(shares.values()) == pytest.approx(1)
    assert all(share >= 0 for share in shares.values())
    assert document["host_overhead_seconds"] >= 0
    assert document["cold_start_seconds"] > document["warm_start_seconds"] > 0


@pytest.mark.slow
def test_sampled_training_is_measured_in_phases(capsys):
    document, stages = bench(capsys, "at-rpg", "matrix/figure-2", "--network", "tabular", "--envs", "4")
    assert document["compile_seconds"] > 0
    assert document["seconds_per_update"] > 0
    assert document["peak_memory_bytes"] > document["program_bytes"] > 0
    # (4 lookahead pairings with N = 1 + 2 outer ones would be both sides; single-sided it is 2 + 1) × 4 envs × 1 step
    assert document["env_steps_per_second"] * document["seconds_per_update"] == pytest.approx(12)
    check_shares(document, ["environment", "policy", "base gradient", "manipulator gradient", "critic", "other"])
    assert document["phases"]["environment"] > 0
    assert document["phases"]["manipulator gradient"] > 0
    assert (document["base_update"], document["lookahead"], document["network"]) == ("pg", 1, "tabular")
    assert {"  cold start", "  phase: environment", "  phase: critic"} < set(stages)


@pytest.mark.slow
def test_clipped_steps_are_a_phase_and_missing_manipulators_are_none(capsys):
    sizes = ("--envs", "8", "--steps", "2", "--hidden-sizes", "8")
    document, stages = bench(capsys, "sp", "storm", *sizes, "--base-update", "ppo")
    check_shares(document, ["environment", "policy", "base gradient", "base update", "critic", "other"])
    assert document["phases"]["base update"] > 0
    assert "  phase: manipulator gradient" not in stages


@pytest.mark.slow
def test_exact_training_of_an_attack_is_measured(capsys):
    command = ("ap-rpg", "matrix/figure-2", "--exact", "--lookahead", "1", "2", "--compilations", "2")
    document, stages = bench(capsys, *command)
    assert document["compilations"] == 2
    assert document["compile_seconds"] > 0
    assert [case["lookahead"] for case in document["cases"]] == [1, 2]
    assert document["env_steps_per_second"] == 0
    assert document["host_overhead_seconds"] >= 0
    configs = [config for config, _ in parse(Command, "bench", command).cases()]
    # Through JSON, where a NumPy number or a tuple would not come back as it went.
    assert [case["config"] for case in document["cases"]] == json.loads(json.dumps([*map(config_to_dict, configs)]))
    assert stages.count("  compiling") == 2
    assert stages[-1] == "  stepping the environment alone"


def test_a_brief_measurement_is_of_compilation_and_updates_only(capsys):
    document, stages = bench(capsys, "ap", "matrix/figure-2", "--envs", "2", "--brief")
    assert stages[1:] == ["  compiling", "  timing updates"]
    assert document["seconds_per_update"] > 0
    assert document["stepping"] is document["cold_start_seconds"] is document["host_overhead_seconds"] is None


class Dice(Environment):
    """Starts, moves, masks and pays by chance and by actions; three steps an episode."""

    name = "dice"
    horizon = 3
    spaces = (SeatSpace((2,), 3), SeatSpace((2,), 3))

    def reset(self, key):
        return jax.random.uniform(key), jnp.zeros((), jnp.int32)

    def step(self, key, state, actions):
        luck, steps = state
        rewards = luck * jnp.array([1.0, -2.0]) + actions
        return Transition((jax.random.uniform(key) + actions.sum(), steps + 1), rewards, steps == 2, rewards / 2)

    def observe(self, state):
        return jnp.stack([state[0], state[1]]), jnp.stack([state[1], state[0]])

    def legal_actions(self, state):
        legal = jnp.arange(3) <= 1 + (state[0] > 1)
        return legal, legal


def test_the_environment_phase_plays_the_games_of_the_rollouts():
    """With the recorded actions and the same chance everything that was recorded comes again."""
    settings = {"hidden_sizes": (4,), "lookahead": 2, "envs": 3, "steps": 5, "base_update": "pg", "sides": "single"}
    config = TrainConfig("at-rpg", "storm", sampling="uniform", **settings).complete(tabular=False)
    problem = make_problem(config, rpax.algorithm("at-rpg", sides="single"), Dice())
    state = jax.tree.map(lambda leaf: leaf[0], make_trainer(config, problem).init())
    _, ahead = jax.jit(lambda state: phases._lookahead_rollout(problem, state, None))(state)
    outer, _ = jax.jit(lambda state: phases._manipulator_rollout(problem, state, (state.base,)))(state)

    def play(state, ahead, outer):
        return phases._environment(problem, state, (None, SimpleNamespace(chunk=ahead), SimpleNamespace(chunk=outer)))

    of_lookahead, of_outer = jax.jit(play)(state, ahead, outer)
    check_same(of_lookahead, ahead)
    check_same(of_outer, outer)


def check_same(seen, chunk):
    assert np.unique(chunk.actions).size > 1, "play that does not vary would show nothing"
    for name in ("observations", "legal", "rewards", "shaped", "done", "last"):
        found, expected = jax.tree.leaves(getattr(seen, name)), jax.tree.leaves(getattr(chunk, name))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other.reshape(one.shape), err_msg=name)


def test_host_overhead_is_what_a_call_costs_besides_its_updates(monkeypatch):
    """Against a clock that only the measured program moves on: 0.25 s an update, and 0.5 s a call."""
    now = 0.0

    def advance(state, updates):
        nonlocal now
        now += overhead + 0.25 * int(updates)
        return state, None

    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now)
    # per_update 0.02 makes it ten updates a call: an update among them bears a tenth of the overhead.
    overhead = 0.5
    assert stopwatch.host_overhead(advance, None, 0.02, 3) == pytest.approx(0.5 - 0.05)
    overhead = 0.0
    assert stopwatch.host_overhead(advance, None, 0.02, 3) == 0


def test_all_pairings_and_lookahead_steps_count_as_environment_steps():
    config = TrainConfig("ad-rpg", "matrix/figure-13", lookahead=3, envs=7, steps=5).complete()
    problem = make_problem(config, rpax.algorithm("ad-rpg", partner_play=0.1), rpax.make("matrix/figure-13"))
    assert env_steps_of_update(problem) == (3 * 8 + 4) * 7 * 5


def test_defaults_do_not_depend_on_the_preset():
    (config, _), *more = Command("sp", "hanabi/3x3").cases()
    assert not more
    assert (config.network, config.hidden_sizes, config.base_update, config.lookahead) == ("mlp", (64, 64), "pg", 1)


def test_every_case_of_the_suite_can_be_measured():
    suite = runpy.run_path(str(pathlib.Path(__file__).parents[2] / "benchmarks" / "run.py"))["SUITE"]
    cases = {title: parse(Command, "bench", line.split()).cases() for title, line in suite.items()}
    assert all(cases.values())
    # The paper's networks.
    assert cases["Hanabi"][0][0].hidden_sizes == (512, 512)


@pytest.mark.parametrize("option", ["--envs", "--lookahead", "--hidden-sizes"])
def test_an_option_without_values_is_wrong_input(capsys, option):
    assert main(["bench", "at-rpg", "matrix/figure-2", option]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith(f"rpax: {option} has no value; give one or more, like {option} ")


def test_help_names_values_as_train_does(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    words = capsys.readouterr().out
    assert "--envs INT …" in words
    assert "--steps INT" in words
    assert "ALGORITHM ENVIRONMENT" in words
    for machinery in ("{None}", "STR", "default: None", "(default: )"):
        assert machinery not in words


@pytest.mark.parametrize("starts", [(12.5, 2.25), (None, None)])
def test_people_are_shown_medians_and_starts(capsys, starts):
    cold, warm = starts
    measured = Measurement(
        lookahead=3,
        envs=16,
        steps=8,
        manipulator_gradient="closed-form",
        compile_seconds=7.5,
        cold_start_seconds=cold,
        warm_start_seconds=warm,
        seconds_per_update=0.0425,
        slowest=0.0617,
        fastest=0.0314,
        env_steps_per_second=1234.0,
        program_bytes=5_600_000,
        host_overhead_seconds=0.000321,
        phases={"environment": 0.25, "other": 0.75},
    )
    document = {
        "algorithm": "at-rpg",
        "environment": "storm",
        "network": "mlp 64x64",
        "base_update": "pg",
        "stepping": {"ours": 1e6, "jaxmarl": None},
        "peak_memory_bytes": 1e9,
        "machine": {"processor": "any", "cores": 2, "device": "NVIDIA any", "jax": "0"},
    }
    print_table(document, [measured])
    shown = capsys.readouterr().out
    (row,) = [line for line in shown.splitlines() if "closed-form" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        *("3", "16", "closed-form", "7.50", "42.500", "31.400–61.700", "1,234", "5.60")
    ]
    assert "environment 25%, other 75%" in shown
    assert "host overhead: 0.321 ms a call" in shown
    assert "NVIDIA any beside any, 2 cores" in shown
    assert ("start to the first update: cold 12.50 s, warm 2.25 s" in shown) == (cold is not None)
    assert ("cold" in shown) == (cold is not None)


def test_the_peak_memory_is_that_of_gpus_where_they_tell(monkeypatch):
    resident = peak_memory_bytes()
    assert resident is not None
    assert resident > 1e6
    for told in (None, {"bytes_in_use": 7}, {"peak_bytes_in_use": 7}):
        device = SimpleNamespace(memory_stats=lambda told=told: told)
        monkeypatch.setattr(jax, "local_devices", lambda device=device: [device, device])
        found = peak_memory_bytes()
        assert found == 14 if told == {"peak_bytes_in_use": 7} else found >= resident
