"""The paper's matrix games come out as the paper (or the linear program) says."""

import json

import pytest

from rpax.cli.main import main
from rpax.environments.registry import make
from rpax.evaluation.rationality import action_gaps
from rpax.reproduce import EXPERIMENTS
from rpax.reproduce.experiment import CaseResult
from rpax.reproduce.runner import all_claims_hold, find_experiments, run_experiment, table_rows

FIGURES = [name for name in EXPERIMENTS if name != "matrix"]


def silent(title, update, until, rows):
    """No progress."""


def reproduce(name, mode, network, seeds=5):
    (experiment,) = find_experiments(name)
    return list(run_experiment(experiment, modes=(mode,), networks=(network,), seeds=range(seeds), progress=silent))


def failing(results):
    return [(r.case.label, r.held, [r.case.measure(outcome) for outcome in r.outcomes]) for r in results]


#: The others take longest.
QUICK = ("figure-2", "figure-13")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FIGURES]
)
def test_exact_tabular_runs_show_the_figure(name):
    results = reproduce(name, "exact", "tabular")
    assert all_claims_hold(results), failing(results)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["tabular", "mlp"])
@pytest.mark.parametrize("name", FIGURES)
def test_sampled_runs_show_the_figure(name, network):
    results = reproduce(name, "sampled", network)
    assert all_claims_hold(results), failing(results)


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_exact_mlp_runs_show_the_figure(name):
    results = reproduce(name, "exact", "mlp")
    assert all_claims_hold(results), failing(results)


def test_the_gap_of_the_sabotaging_adversary_is_that_of_the_linear_program():
    """AT plays E almost always, so its gap is almost that of E alone."""
    at = reproduce("figure-2", "exact", "tabular", seeds=1)[0]
    outcome = at.outcomes[0]
    gap_of_e = action_gaps(make("matrix/figure-2").payoff_matrix(1))[2]
    assert gap_of_e == pytest.approx(1.5)
    assert outcome.gap("adversary", 1) == pytest.approx(gap_of_e * outcome.policy("adversary", 1)[2], abs=1e-9)


def test_the_command_writes_a_table_a_picture_and_json(tmp_path, capsys):
    folder = tmp_path / "out"
    arguments = ["reproduce", "figure-13", "--mode", "exact", "--seeds", "2", "--out", str(folder), "--quiet"]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((folder / "figure-13.json").read_text())
    assert [case["label"] for case in document["cases"]] == ["AD, λ=1", "AD-RPG, λ=1"]
    assert (folder / "figure-13.png").read_bytes().startswith(b"\x89PNG")
    assert main([*arguments]) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_the_table_shows_gaps_unrounded():
    results = reproduce("figure-2", "exact", "tabular", seeds=1)
    rows = table_rows(results[:2])
    gap = results[1].outcomes[0].gap("adversary", 1)
    assert f"adversary[1] nearly, gap {gap!r}" in rows[1][3]
    assert rows[0][4] == "1 of 1"


def test_an_interrupted_reproduction_keeps_the_cases_that_are_finished(tmp_path, monkeypatch):
    (experiment,) = find_experiments("figure-2")
    case = experiment.cases("exact", "tabular")[0]
    finished = CaseResult(case, "exact", "tabular", (), 0.0)

    def interrupted(*arguments, **options):
        yield finished
        raise KeyboardInterrupt

    monkeypatch.setattr("rpax.reproduce.runner.run_experiment", interrupted)
    folder = tmp_path / "figure"
    assert main(["reproduce", "figure-2", "--out", str(folder), "--quiet"]) == 130
    document = json.loads((folder / "figure-2.json").read_text(encoding="utf-8"))
    assert [kept["label"] for kept in document["cases"]] == [case.label]
