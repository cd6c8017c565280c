"""`rpax train` and its neighbours as a user calls them."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import yaml

import rpax
from rpax.cli.main import VERBS, main
from rpax.cli.output import print_run, progress_lines, returns_text
from rpax.cli.parse import parse
from rpax.cli.train import Command
from rpax.environments.registry import ENVIRONMENTS
from rpax.evaluation.diagnosis import Diagnosis
from rpax.evaluation.results import AgentResult, PairingResult, SeedResult
from rpax.objectives.catalogue import ALGORITHMS
from rpax.objectives.files import objective_to_dict
from rpax.runs.config import config_from_dict

#: [seat][row][column], rows are seat 0: written down from the paper once more.
PAYOFFS = {
    "matrix/figure-2": np.array([[[1, 0, -1], [0, 1, -1]]] * 2),
    "matrix/figure-14": np.array([[[3, 0, -1], [1, 2, -1]], [[2, 0, -1], [1, 3, -1]]]),
}
FIXED = {
    "ap": ["--victim", "[0.25, 0.75]"],
    "ap-rpg": ["--victim", "uniform"],
    "paired-a-rpg": ["--victim", "[1, 0]"],
    "br": ["--partner", "[0.5, 0.25, 0.25]"],
}


def train(arguments: list[str], capsys) -> dict[str, Any]:
    """Train with --json: standard output is one document and nothing else."""
    assert main(["train", *arguments, "--json"]) == 0
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    return json.loads(output.out)


def check_document(document: dict[str, Any], environment: str, algorithm: str) -> None:
    """The keys that `rpax train --json` promises, and returns that follow from the policies beside them."""
    assert document["algorithm"] == algorithm
    assert document["environment"] == environment
    objective_agents = rpax.load_objective(pathlib.Path(document["run_dir"]) / "objective.yaml").agents
    for result in document["results"]:
        agents = result["agents"]
        assert {name: agent["role"] for name, agent in agents.items()} == objective_agents
        for agent in agents.values():
            for seat, policy in agent["policy"].items():
                assert len(policy) == PAYOFFS[environment].shape[1 + int(seat)]
                assert sum(policy) == pytest.approx(1, abs=1e-6)
            if agent["role"] == "base":
                assert agent["rationality_gap"].keys() == agent["policy"].keys()
                assert all(gap >= 0 for gap in agent["rationality_gap"].values())
            else:
                assert "rationality_gap" not in agent
        assert result["pairings"]
        for pairing in result["pairings"]:
            row = np.array(agents[pairing["seat_0"]]["policy"]["0"])
            column = np.array(agents[pairing["seat_1"]]["policy"]["1"])
            expected = [row @ payoffs @ column for payoffs in PAYOFFS[environment]]
            np.testing.assert_allclose(pairing["returns"], expected, atol=1e-6)
        diagnosis = result["diagnosis"]
        assert all(type(diagnosis[kind]) is bool for kind in ("self_sabotage", "no_influence", "unstable"))
        assert len(diagnosis["notes"]) >= any(value is True for value in diagnosis.values())


#: They train several runs each; in one game they are enough.
STAGED = ("fcp", "comedi", "sp-sweep")


@pytest.mark.parametrize(
    ("algorithm", "environment"),
    [
        pytest.param(name, game, marks=pytest.mark.slow if name in STAGED and game != "matrix/figure-2" else ())
        for name in ALGORITHMS
        for game in PAYOFFS
    ],
)
def test_every_algorithm_trains_with_exact_gradients(algorithm, environment, tmp_path, capsys, no_plots):
    options = ["--exact", "--updates", "20", "--lookahead", "2", "--out", str(tmp_path / "run"), "--quiet"]
    document = train([algorithm, environment, *options, *FIXED.get(algorithm, [])], capsys)
    check_document(document, environment, algorithm)
    assert [result["seed"] for result in document["results"]] == [0]


@pytest.mark.parametrize(
    ("algorithm", "environment", "options"),
    [
        ("at-rpg", "matrix/figure-2", ["--lookahead", "1", "--seeds", "2", "--seed", "5"]),
        ("ap", "matrix/figure-14", ["--network", "mlp", "--hidden-sizes", "4", "--victim", "uniform"]),
    ],
)
def test_algorithms_train_by_sampling(algorithm, environment, options, tmp_path, capsys, no_plots):
    sizes = ["--updates", "2", "--envs", "3", "--out", str(tmp_path / "run"), "--quiet"]
    document = train([algorithm, environment, *sizes, *options], capsys)
    check_document(document, environment, algorithm)
    assert [result["seed"] for result in document["results"]] == ([5, 6] if "--seed" in options else [0])


def test_a_run_directory_is_named_after_time_algorithm_and_environment_and_holds_everything(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "sp", "matrix/figure-2", "--exact", "--updates", "3", "--seeds", "2"]) == 0
    output = capsys.readouterr()
    (run,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-sp-matrix-figure-2", run.name)
    assert f"run directory: runs/{run.name}" in output.err
    assert run.name in output.out
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    expected = {"config.yaml", "objective.yaml", "versions.json", "metrics.jsonl", "results.json"}
    expected |= {f"policies/seed-{seed}/base_0.safetensors" for seed in (0, 1)}
    expected |= {
        f"checkpoints/update-00000000{n}/{name}" for n in (0, 3) for name in ("manifest.json", "state.safetensors")
    }
    assert expected <= found
    assert any(name.startswith("plots/") and name.endswith(".png") for name in found)


def test_json_mode_writes_what_results_json_holds_and_shows_progress_on_stderr_only(tmp_path, capsys, no_plots):
    document = train(["sp", "matrix/figure-2", "--exact", "--updates", "3", "--out", str(tmp_path / "run")], capsys)
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == document


def printed_cells(text: str) -> list[list[str]]:
    """The rows of the tables in a text, cell by cell; the first is the heading."""
    rows = [re.split("[│┃]", line.strip())[1:-1] for line in text.splitlines()]
    return [[cell.strip() for cell in row] for row in rows if row]


def test_a_deep_run_is_printed_without_columns_that_say_nothing(capsys):
    agents: dict[str, Any] = {name: AgentResult("base", {}, {}, {}) for name in ("victim", "adversary")}
    agents["manipulator"] = AgentResult("manipulator", {}, {}, {})
    pairing = PairingResult("victim", "adversary", (12.34, 12.34), (0.5, 0.5), 1000)
    result = SeedResult(0, agents, (pairing,), Diagnosis(False, False, False, ()))
    config = config_from_dict({"algorithm": "at-rpg", "environment": "storm"})
    for sides, seats in (("single", ["0", "1", "0"]), ("both", ["both"] * 3)):
        objective = rpax.algorithm("at-rpg", sides=sides)
        print_run(rpax.Run(config, objective, (result,), "finished", 5, None, {}))
        text = capsys.readouterr().out
        rows = zip(agents, ["base", "base", "manipulator"], seats, strict=True)
        assert printed_cells(text) == [["agent", "role", "seat"], *map(list, rows)]
        assert "  victim vs adversary: returns 12.34 ± 0.5\n" in text


def test_a_matrix_run_is_printed_with_policies_and_gaps_of_every_seat(finished_run, capsys):
    print_run(rpax.load(finished_run))
    rows = printed_cells(capsys.readouterr().out)
    assert rows[0] == ["agent", "role", "seat", "policy", "rationality gap"]
    assert [row[:3] for row in rows[1:4]] == [
        ["victim", "base", "0"], ["adversary", "base", "1"], ["manipulator", "manipulator", "0"],
    ]  # fmt: skip
    assert [row[4] == "–" for row in rows[1:4]] == [False, False, True]
    assert len(rows) == 8


@pytest.mark.parametrize(
    ("returns", "half_width", "episodes", "text"),
    [
        ((0.5, 0.5), (0.0, 0.0), 0, "0.5"),
        ((12.3, 12.3), (0.4, 0.4), 1000, "12.3 ± 0.4"),
        ((12.3, 11.0), (0.4, 0.5), 1000, "seat 0: 12.3 ± 0.4, seat 1: 11 ± 0.5"),
        ((0.0, 0.0), (0.1, 0.2), 9, "seat 0: 0 ± 0.1, seat 1: 0 ± 0.2"),
        ((-1.0, 1.0), (0.0, 0.0), 0, "seat 0: -1, seat 1: 1"),
        ((1 / 3, 1 / 3 + 1e-15), (0.0, 0.0), 0, "0.3333"),
    ],
)
def test_returns_are_told_once_unless_the_seats_differ(returns, half_width, episodes, text):
    assert returns_text(PairingResult("a", "b", returns, half_width, episodes)) == text


def settings(*arguments: str) -> Any:
    """The configuration that a command line asks for, before presets."""
    return parse(Command, "train", list(arguments)).settings()


def test_settings_come_from_preset_then_file_then_set_then_options(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("lookahead: 2\nenvs: 16\nbase_rate: 1e-3\nhidden_sizes: [8]\nalgorithm: at\nenvironment: none\n")
    asked = settings(
        "at-rpg", "matrix/figure-2", "--config", str(file), "--set", "envs=32", "--set", "base-rate=2e-3",
        "--base-rate", "3e-3",
    )  # fmt: skip
    assert (asked.algorithm, asked.environment) == ("at-rpg", "matrix/figure-2")  # options over the file
    assert asked.lookahead == 2  # the file's
    assert asked.envs == 32  # --set over the file
    assert asked.base_rate == 3e-3  # options over --set over the file
    assert asked.hidden_sizes == (8,)
    assert asked.steps is None  # the preset's
    preset = settings("at-rpg", "matrix/figure-2").complete()
    assert asked.complete().steps == preset.steps
    assert asked.complete().manipulator_rate == preset.manipulator_rate


def test_an_option_counts_even_if_it_is_what_the_default_would_be(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("preset: paper\nseeds: 5\nseed: 3\nevaluation_episodes: 7\n")
    names = ("at-rpg", "matrix/figure-2", "--config", str(file))
    asked = settings(*names, "--preset", "fast", "--seeds=1", "--seed", "0", "--evaluation-episodes", "1000")
    assert (asked.preset, asked.seeds, asked.seed, asked.evaluation_episodes) == ("fast", 1, 0, 1000)
    asked = settings(*names)
    assert (asked.preset, asked.seeds, asked.seed, asked.evaluation_episodes) == ("paper", 5, 3, 7)


def test_algorithm_and_environment_may_come_from_the_file(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("algorithm: sp\nenvironment: matrix/figure-2\n")
    asked = settings("--config", str(file))
    assert (asked.algorithm, asked.environment) == ("sp", "matrix/figure-2")


def test_an_objective_of_ones_own_trains_on_payoffs_of_ones_own_from_files(tmp_path, capsys, no_plots):
    (tmp_path / "mine.yaml").write_text(
        "agents: {victim: fixed, adversary: base}\n"
        "edges: [{learner: adversary, beneficiary: victim, partner: adversary, weight: -1, seats: [0]}]\n"
    )
    (tmp_path / "payoffs.csv").write_text("1, 0\n0, 1\n\n2, 0\n0, 2\n")
    names = [str(tmp_path / "mine.yaml"), "matrix/custom", "--payoffs", str(tmp_path / "payoffs.csv")]
    rest = ["--victim", "[0.9, 0.1]", "--exact", "--updates", "5", "--quiet", "--out", str(tmp_path / "run")]
    document = train([*names, *rest], capsys)
    assert document["algorithm"] == "mine"
    (pairing,) = document["results"][0]["pairings"]
    assert pairing["returns"][1] == pytest.approx(2 * pairing["returns"][0])
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["payoffs"] == [[[1, 0], [0, 1]], [[2, 0], [0, 2]]]


def test_training_that_becomes_non_finite_exits_3_and_keeps_the_last_good_checkpoint(tmp_path, capsys):
    # A critic that oversteps ten-billionfold leaves float32 after four or five updates. A checkpoint after each.
    rates = ["--critic-rate", "1e10", "--critic-optimizer", "sgd", "--checkpoint-minutes", "1e-9"]
    sizes = ["--updates", "9", "--envs", "2", "--log-every", "1", "--out", str(tmp_path / "run"), "--quiet", "--json"]
    assert main(["train", "sp", "matrix/figure-2", *rates, *sizes]) == 3
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith("rpax: ")
    assert "critics (seed 0)" in line
    assert "not finite" in line
    assert "lower the learning rates" in line
    first_bad = int(re.findall(r"updates (\d+)", line)[0])
    last = max((tmp_path / "run" / "checkpoints").iterdir())
    assert last.name == f"update-{first_bad - 1:09d}"
    assert first_bad > 1
    from safetensors.numpy import load_file

    arrays = load_file(last / "state.safetensors")
    assert all(np.isfinite(array).all() for array in arrays.values() if array.dtype.kind == "f")


def test_an_interrupted_run_is_saved_exits_130_and_can_be_resumed(tmp_path):
    run = tmp_path / "run"
    options = ["--exact", "--updates", "2500", "--log-every", "1", "--out", str(run), "--json"]
    command = [sys.executable, "-m", "rpax", "train", "sp", "matrix/figure-2", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(run / "metrics.jsonl", process)
        process.send_signal(signal.SIGINT)
        output, complaint = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, complaint
    assert output == ""
    assert complaint.splitlines()[-1] == "rpax: interrupted"
    assert "Traceback" not in complaint
    stopped = rpax.load(run)
    assert stopped.status == "interrupted"
    assert 0 < stopped.update < 2500
    assert (run / "checkpoints" / f"update-{stopped.update:09d}").is_dir()

    assert main(["resume", str(run), "--quiet"]) == 0
    finished = rpax.load(run)
    assert (finished.status, finished.update) == ("finished", 2500)
    assert [row["update"] for row in finished.metrics()] == list(range(1, 2501))


def test_interrupted_while_nobody_reads_its_messages_it_still_saves(tmp_path):
    run = tmp_path / "run"
    options = ["--exact", "--updates", "1000000", "--log-every", "1", "--out", str(run), "--quiet"]
    command = [sys.executable, "-m", "rpax", "train", "sp", "matrix/figure-2", *options]
    reading, writing = os.pipe()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=writing)
    os.close(writing)
    try:
        wait_for(run / "metrics.jsonl", process)
        os.close(reading)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    stopped = rpax.load(run)
    assert stopped.status == "interrupted"
    assert (run / "checkpoints" / f"update-{stopped.update:09d}").is_dir()


@pytest.mark.parametrize("seconds", [0.0, 0.6, 1.2])
def test_interrupted_before_training_it_ends_without_a_traceback(tmp_path, seconds):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "rpax", "train", "sp", "matrix/figure-2", "--out", str(run), "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(run / "config.yaml", process)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, complaint
    assert complaint.splitlines()[-1] == "rpax: interrupted"
    assert "Traceback" not in complaint


def wait_for(path: pathlib.Path, process: subprocess.Popen) -> None:
    """Until there is something in a file or folder that a process makes."""
    patience = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < patience, f"{path} never came"
        time.sleep(0.01)


def test_the_run_directory_with_its_config_is_there_before_jax_is_imported(tmp_path):
    # A jax that only tells what it found when it was imported.
    (tmp_path / "fake" / "jax").mkdir(parents=True)
    (tmp_path / "fake" / "jax" / "__init__.py").write_text(
        "import os\nprint(sorted(os.listdir('run')))\nprint(open('run/config.yaml').read())\nraise SystemExit(77)\n"
    )
    command = [sys.executable, "-m", "rpax", "train", "at-rpg", "matrix/figure-2", "--exact", "--out", "run"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "fake")}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 77, ended.stderr
    listing, _, config = ended.stdout.partition("\n")
    assert listing == "['config.yaml', 'lock', 'objective.yaml', 'versions.json']"
    assert yaml.safe_load(config)["algorithm"] == "at-rpg"


def test_help_list_show_and_wrong_input_do_not_import_jax():
    lines = [
        ["--help"],
        ["--version"],
        ["list"],
        ["list", "--json"],
        ["show", "ad-rpg"],
        ["show", "ad-rpg", "--json"],
        *[[verb, "--help"] for verb in VERBS],
        ["train", "at-rgp", "matrix/figure-2"],
        ["train", "at-rpg", "matrix/custom", "--payoffs", "[[1"],
        ["resume", "nowhere"],
    ]
    code = (
        "import sys\nfrom rpax.cli.main import main\n"
        f"for line in {lines!r}:\n"
        "    try:\n        status = main(line)\n    except SystemExit as stop:\n        status = stop.code\n"
        "    assert status == (2 if line[-1] in ('matrix/figure-2', '[[1', 'nowhere') else 0), (line, status)\n"
        "    slow = {'jax', 'flax', 'scipy', 'matplotlib'}.intersection(sys.modules)\n"
        "    assert not slow, (line, slow)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rpax {rpax.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_command_and_gives_examples(arguments, capsys):
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert all(re.search(rf"^  {verb} ", text, re.MULTILINE) for verb in VERBS)
    assert "examples:" in text


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_command_gives_examples_and_explains_every_option(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "Examples" in text
    assert f"rpax {verb}" in text.partition("Examples")[2]
    assert "--json" in text
    assert "--quiet" in text


def test_list_has_a_line_for_every_algorithm_and_environment(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, entry in {**ALGORITHMS, **ENVIRONMENTS}.items():
        assert any(line.split() == [name, *entry.summary.split()] for line in lines), name
    assert main(["list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["algorithms"].keys() == ALGORITHMS.keys()
    assert document["environments"].keys() == ENVIRONMENTS.keys()


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "xpd", "xpd-rpg"])
def test_show_prints_every_agent_and_as_json_the_objective_itself(algorithm, capsys):
    objective = rpax.algorithm(algorithm)
    assert main(["show", algorithm]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in objective.agents)
    assert main(["show", algorithm, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == objective_to_dict(objective)


def test_show_takes_the_options_of_the_algorithm_and_draws_a_picture(tmp_path, capsys):
    options = ["--population", "3", "--partner-play", "0.2", "--crossplay-weight", "1"]
    assert main(["show", "ad-rpg", *options, "--json", "--out", str(tmp_path / "ad.svg")]) == 0
    expected = rpax.algorithm("ad-rpg", population=3, partner_play=0.2, crossplay_weight=1.0)
    assert json.loads(capsys.readouterr().out) == objective_to_dict(expected)
    assert (tmp_path / "ad.svg").read_text().startswith("<?xml")


def test_certify_prints_gap_and_witness_of_every_base_agent(finished_run, capsys):
    assert main(["certify", str(finished_run), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    entries = document["certificates"]
    assert [(e["seed"], e["agent"], e["seat"]) for e in entries] == [
        (0, "victim", 0), (0, "adversary", 1), (1, "victim", 0), (1, "adversary", 1),
    ]  # fmt: skip
    results = json.loads((finished_run / "results.json").read_text())["results"]
    for entry in entries:
        agent = results[entry["seed"]]["agents"][entry["agent"]]
        assert entry["gap"] == pytest.approx(agent["rationality_gap"][str(entry["seat"])], abs=1e-9)
        # Against the witness the policy loses exactly the gap to its best response.
        payoffs = PAYOFFS["matrix/figure-2"][entry["seat"]]
        own_payoffs = payoffs if entry["seat"] == 0 else payoffs.T
        returns = own_payoffs @ np.array(list(entry["co_policy"].values()))
        policy = np.array(agent["policy"][str(entry["seat"])])
        assert returns.max() - policy @ returns == pytest.approx(entry["gap"], abs=1e-6)
    assert main(["certify", str(finished_run), "--manipulators"]) == 0
    assert capsys.readouterr().out.count("gap ") == 6


def test_where_no_bar_can_move_progress_is_a_line_now_and_then(capsys):
    now = 0.0
    show = progress_lines("sp on storm", clock=lambda: now)
    for update in range(1, 101):
        now += 1.5
        show(update, 100, [{"returns": {"a vs a": (float(update), 0.0)}}])
    assert capsys.readouterr().err.splitlines() == [
        "sp on storm: 7/100 after 10 s  a vs a 7.00",
        "sp on storm: 47/100 after 70 s  a vs a 47.00",
        "sp on storm: 87/100 after 130 s  a vs a 87.00",
    ]
