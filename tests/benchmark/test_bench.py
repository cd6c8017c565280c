"""`rpax bench` reports what it promises."""

import json

import pytest

import rpax
from rpax.benchmark.measure import env_steps_of_update
from rpax.cli.main import main
from rpax.runs.config import TrainConfig
from rpax.training.setup import make_problem


def bench(capsys, *arguments):
    assert main(["bench", *arguments, "--json", "--quiet", "--repetitions", "1"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_sampled_training_is_measured_in_phases(capsys):
    document = bench(capsys, "at-rpg", "matrix/figure-2", "--network", "tabular", "--envs", "4")
    assert document["compile_seconds"] > 0
    assert document["seconds_per_update"] > 0
    assert document["peak_memory_bytes"] > document["program_bytes"] > 0
    # (4 lookahead pairings with N = 1 + 2 outer ones would be both sides; single-sided it is 2 + 1) × 4 envs × 1 step
    assert document["env_steps_per_second"] * document["seconds_per_update"] == pytest.approx(12)
    assert document["phases"]["manipulator gradient"] > 0
    assert sum(document["phases"].values()) == pytest.approx(1)
    assert (document["base_update"], document["lookahead"], document["network"]) == ("pg", 1, "tabular")


def test_exact_training_of_an_attack_is_measured(capsys):
    document = bench(capsys, "ap-rpg", "matrix/figure-2", "--exact", "--lookahead", "1", "2")
    assert [case["lookahead"] for case in document["cases"]] == [1, 2]
    assert document["env_steps_per_second"] == 0


def test_all_pairings_and_lookahead_steps_count_as_environment_steps():
    config = TrainConfig("ad-rpg", "matrix/figure-13", lookahead=3, envs=7, steps=5).complete()
    problem = make_problem(config, rpax.algorithm("ad-rpg", partner_play=0.1), rpax.make("matrix/figure-13"))
    assert env_steps_of_update(problem) == (3 * 8 + 4) * 7 * 5
