"""A run that was stopped and resumed is the run that was not, bit for bit."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import threading
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import rpax
from rpax.cli.main import main
from rpax.errors import InputError
from rpax.runs.directory import RunDirectory
from rpax.runs.interruption import _Watch, interruptions
from rpax.runs.session import Session

pytestmark = pytest.mark.usefixtures("no_plots")

#: Stops after the first chunk.
AT_ONCE = {"minutes": 1e-9}


def state_files(run: pathlib.Path) -> dict[str, bytes]:
    """The last checkpoint's files."""
    last = max((run / "checkpoints").iterdir())
    return {f"{last.name}/{path.name}": path.read_bytes() for path in last.iterdir()}


def assert_same_outcome(run: pathlib.Path, expected: pathlib.Path) -> None:
    """The same last checkpoint, metrics and policies, byte for byte, and the same results."""
    assert state_files(run) == state_files(expected)
    assert (run / "metrics.jsonl").read_bytes() == (expected / "metrics.jsonl").read_bytes()
    policies = sorted(path.relative_to(expected) for path in (expected / "policies").rglob("*.safetensors"))
    assert policies
    for path in policies:
        assert (run / path).read_bytes() == (expected / path).read_bytes()
    documents = [json.loads((folder / "results.json").read_text()) | {"run_dir": None} for folder in (run, expected)]
    assert documents[0] == documents[1]


SETTINGS: dict[str, dict[str, Any]] = {
    "exact": {"environment": "matrix/figure-2", "exact": True, "seeds": 2},
    # Episodes last three steps and chunks two: the environments are stopped in the middle.
    "sampled": {"environment": "extensive/g2", "envs": 3, "steps": 2, "lookahead": 1, "base_optimizer": "adam"},
}


@pytest.mark.parametrize("mode", SETTINGS)
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(mode, tmp_path):
    settings = {"algorithm": "at-rpg", "log_every": 2, **SETTINGS[mode]}
    whole = rpax.train(**settings, updates=5, out=tmp_path / "whole")
    assert (whole.status, whole.update) == ("finished", 5)

    stopped = rpax.train(**settings, updates=5, **AT_ONCE, out=tmp_path / "run")
    assert (stopped.status, stopped.update) == ("out of time", 2)
    resumed = rpax.resume(tmp_path / "run")
    assert (resumed.status, resumed.update) == ("finished", 5)
    assert_same_outcome(tmp_path / "run", tmp_path / "whole")
    assert [row["update"] for row in resumed.metrics() if row["seed"] == 0] == [2, 4, 5]
    if mode == "sampled":
        # Ten steps in, one into the fourth episode, nobody is at its start.
        arrays = load_file(max((tmp_path / "run" / "checkpoints").iterdir()) / "state.safetensors")
        assert not arrays["lookahead_streams/first"].any()
        assert (arrays["lookahead_streams/state/number"] > 0).all()


def test_what_was_logged_after_the_checkpoint_is_dropped_and_trained_again(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run", ignore=shutil.ignore_patterns("results.json", "policies"))
    shutil.rmtree(run / "checkpoints" / "update-000000004")
    (run / "metrics.jsonl").write_text((run / "metrics.jsonl").read_text() + '{"update": 5, "se')
    assert (rpax.load(run).status, rpax.load(run).update) == ("unfinished", 0)
    assert rpax.load(run).metrics()[-1]["update"] == 4
    assert main(["resume", str(run), "--quiet"]) == 0
    assert_same_outcome(run, finished_run)


def test_a_run_whose_checkpoints_were_lost_keeps_its_metrics(finished_run, tmp_path, capsys):
    run = shutil.copytree(finished_run, tmp_path / "run", ignore=shutil.ignore_patterns("results.json", "update-*"))
    metrics = (run / "metrics.jsonl").read_bytes()
    assert main(["resume", str(run), "--quiet"]) == 2
    message = capsys.readouterr().err
    assert f"run {run} has metrics but no checkpoint, so it cannot go on; restore {run}/checkpoints from" in message
    assert message.endswith("or remove metrics.jsonl to train anew from update 0\n")
    assert message.count("\n") == 1
    assert (run / "metrics.jsonl").read_bytes() == metrics
    (run / "metrics.jsonl").unlink()
    assert main(["resume", str(run), "--quiet"]) == 0
    assert_same_outcome(run, finished_run)


@pytest.mark.parametrize(("algorithm", "folder"), [("sp", "."), ("fcp", "pool")])
def test_metrics_have_no_line_before_there_is_a_checkpoint(algorithm, folder, tmp_path, monkeypatch):
    def stop(*arguments: object) -> None:
        raise OSError("no power")

    settings = {"exact": True, "updates": 4, "log_every": 1, **({"population": 2} if algorithm == "fcp" else {})}
    run = tmp_path / "run"
    rpax.train(algorithm, "matrix/figure-2", **settings, **AT_ONCE, out=run)
    for name in ("checkpoints", "policies"):
        shutil.rmtree(run / folder / name)
    (run / folder / "results.json").unlink(missing_ok=True)
    # The stage's own: schemes open their stages themselves.
    with pytest.raises(InputError, match="has metrics but no checkpoint"):
        rpax.resume(run)
    (run / folder / "metrics.jsonl").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("rpax.runs.session.save_checkpoint", stop)
        with pytest.raises(InputError, match="no power"):
            rpax.resume(run)
    assert (run / folder / "metrics.jsonl").read_bytes() == b""
    assert rpax.resume(run).status == "finished"


def test_resuming_a_finished_run_exits_0_and_changes_nothing(finished_run, tmp_path, capsys):
    run = shutil.copytree(finished_run, tmp_path / "run")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(run.rglob("*"))}
    assert main(["resume", str(run), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(run.rglob("*"))} == before
    expected = json.loads((finished_run / "results.json").read_text())
    assert document == expected | {"run_dir": str(run)}
    assert main(["resume", str(run), "--until", "4", "--quiet"]) == 0


def test_until_trains_further_than_was_asked_for_at_first(finished_run, tmp_path):
    settings = {"exact": True, "seeds": 2, "log_every": 1}
    rpax.train("at-rpg", "matrix/figure-2", **settings, updates=6, out=tmp_path / "whole")
    run = shutil.copytree(finished_run, tmp_path / "run")
    assert main(["resume", str(run), "--until", "6", "--quiet"]) == 0
    files = [folder / "checkpoints" / "update-000000006" / "manifest.json" for folder in (run, tmp_path / "whole")]
    manifests = [json.loads(file.read_text()) for file in files]
    # Only that it was extended is remembered.
    assert [manifest.pop("ends") for manifest in manifests] == [[4, 6], [6]]
    assert [len(manifest.pop("sha256")) for manifest in manifests] == [64, 64]
    assert manifests[0] == manifests[1]
    shutil.copy(files[1], files[0])
    assert_same_outcome(run, tmp_path / "whole")
    assert RunDirectory(run).read_config() == RunDirectory(tmp_path / "whole").read_config()
    assert rpax.resume(run).update == 6, "what was asked for last is what counts"
    with pytest.raises(InputError, match="already at update 6; give --until 6 or more"):
        rpax.resume(run, until=5)


def test_fixed_agents_are_copied_so_that_the_run_they_came_from_may_go(finished_run, tmp_path):
    source = shutil.copytree(finished_run, tmp_path / "source")
    victim = rpax.load(source).results[1].policies["victim"][0]
    settings = {"exact": True, "updates": 4, "log_every": 2, "victim": f"{source}:1:victim"}
    whole = rpax.train("ap", "matrix/figure-2", **settings, out=tmp_path / "whole")
    stopped = rpax.train("ap", "matrix/figure-2", **settings, **AT_ONCE, out=tmp_path / "run")
    assert stopped.update == 2
    shutil.rmtree(source)
    resumed = rpax.resume(tmp_path / "run")
    assert_same_outcome(tmp_path / "run", tmp_path / "whole")
    for run in (whole, resumed, rpax.load(tmp_path / "run")):
        np.testing.assert_allclose(run.results[0].policies["victim"][0], victim, rtol=1e-12)


def test_a_run_whose_fixed_agent_is_another_one_does_not_go_on(finished_run, tmp_path, capsys):
    settings = {"exact": True, "updates": 4, "log_every": 2, "victim": f"{finished_run}:1:victim"}
    rpax.train("ap", "matrix/figure-2", **settings, **AT_ONCE, out=tmp_path / "run")
    copy = tmp_path / "run" / "fixed" / "victim.safetensors"
    manifest = json.loads((tmp_path / "run" / "checkpoints" / "update-000000002" / "manifest.json").read_text())
    assert manifest["fixed"] == {"victim": hashlib.sha256(copy.read_bytes()).hexdigest()}
    good = copy.read_bytes()
    copy.write_bytes(good[:-1] + bytes([good[-1] ^ 0x40]))
    assert main(["resume", str(tmp_path / "run"), "--quiet"]) == 2
    says = "victim.safetensors is not what it was until update 2; restore it from a copy, or train anew"
    assert says in capsys.readouterr().err
    # A sound file, but of somebody else.
    shutil.copy(finished_run / "policies" / "seed-0" / "victim.safetensors", copy)
    with pytest.raises(InputError, match=r"victim\.safetensors is not what it was until update 2"):
        rpax.resume(tmp_path / "run")
    copy.unlink()
    with pytest.raises(InputError, match=r"victim\.safetensors is missing, and was there until update 2"):
        rpax.resume(tmp_path / "run")
    copy.write_bytes(good)
    assert rpax.resume(tmp_path / "run").status == "finished"


def test_a_time_limit_stops_and_saves_and_is_no_part_of_the_run_that_goes_on(tmp_path, capsys):
    options = ["--exact", "--updates", "3", "--minutes", "1e-9", "--out", str(tmp_path / "run"), "--json"]
    assert main(["train", "sp", "matrix/figure-2", *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["status"], document["update"]) == ("out of time", 1)
    assert [path.name for path in sorted((tmp_path / "run" / "checkpoints").iterdir())][-1] == "update-000000001"
    assert main(["resume", str(tmp_path / "run"), "--minutes", "1e-9", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["update"] == 2
    assert main(["resume", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "finished"


def test_the_first_signal_asks_to_stop_the_second_stops_and_the_handlers_are_given_back():
    # In a background job of a shell SIGINT is ignored, and would stay so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interruptions() as interrupted:
        assert not interrupted.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupted.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def stop_at(number: int):
    """Progress that asks to stop, as a signal would, at an update."""

    def progress(update: int, until: int, rows: object) -> None:
        if update == number:
            signal.raise_signal(signal.SIGINT)

    return progress


def test_interrupted_in_its_last_update_a_run_is_evaluated_when_it_is_resumed(finished_run, tmp_path):
    settings = {"exact": True, "seeds": 2, "updates": 4}
    with pytest.raises(KeyboardInterrupt):
        rpax.train("at-rpg", "matrix/figure-2", **settings, out=tmp_path / "run", progress=stop_at(4))
    assert not (tmp_path / "run" / "results.json").exists()
    assert (rpax.load(tmp_path / "run").status, rpax.load(tmp_path / "run").update) == ("unfinished", 4)
    rpax.resume(tmp_path / "run")
    assert_same_outcome(tmp_path / "run", finished_run)


def test_an_interrupted_extension_leaves_results_and_policies_of_the_finished_run(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in (run / "results.json", *run.rglob("policies/*/*"))}
    with pytest.raises(KeyboardInterrupt):
        rpax.resume(run, until=6, progress=stop_at(5))
    assert {path: path.read_bytes() for path in before} == before
    assert (run / "checkpoints" / "update-000000005").is_dir()
    assert (rpax.load(run).status, rpax.load(run).update) == ("finished", 4)
    assert rpax.resume(run).update == 6


def test_where_nothing_is_saved_a_signal_loses_nothing():
    seen = []

    def look(update: int, until: int, rows: object) -> None:
        seen.append(_Watch.loop is not None and _Watch.loop.unsaved)

    settings: dict[str, Any] = {"exact": True, "updates": 1, "progress": look}
    _Watch.thread = threading.current_thread()
    try:
        rpax.train("sp", "matrix/figure-2", **settings)
    finally:
        _Watch.thread = None
    assert seen == [False]


def test_where_something_else_fails_what_was_trained_is_saved_first(tmp_path):
    settings = {"exact": True, "updates": 5, "log_every": 1}
    rpax.train("sp", "matrix/figure-2", **settings, out=tmp_path / "whole")

    def fail(update: int, until: int, rows: object) -> None:
        if update == 3:
            raise LookupError("nobody listens")

    with pytest.raises(LookupError, match="nobody listens"):
        rpax.train("sp", "matrix/figure-2", **settings, out=tmp_path / "run", progress=fail)
    assert (rpax.load(tmp_path / "run").status, rpax.load(tmp_path / "run").update) == ("unfinished", 3)
    rpax.resume(tmp_path / "run")
    assert_same_outcome(tmp_path / "run", tmp_path / "whole")


def test_a_session_that_goes_on_starts_where_the_checkpoint_is(finished_run, tmp_path):
    directory = RunDirectory.open(shutil.copytree(finished_run, tmp_path / "run"))
    session = Session.go_on(directory.read_config(), directory.read_objective(), directory)
    assert session.update == 4
    assert np.asarray(session.state.update).tolist() == [4, 4]


def test_a_run_that_was_killed_before_it_copied_its_victim_copies_it_when_it_goes_on(tmp_path, no_plots):
    settings = {"exact": True, "updates": 3, "log_every": 1, "victim": "[0.8, 0.2]"}
    whole = tmp_path / "whole"
    rpax.train("ap-rpg", "matrix/figure-2", **settings, out=whole)
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.yaml", "objective.yaml", "versions.json"):
        shutil.copy(whole / name, run)
    assert rpax.resume(run).status == "finished"
    assert_same_outcome(run, whole)
    files = [
        pathlib.Path("fixed/victim.safetensors"),
        *(p.relative_to(whole) for p in whole.glob("checkpoints/*/manifest.json")),
    ]
    for file in files:
        assert (run / file).read_bytes() == (whole / file).read_bytes()
