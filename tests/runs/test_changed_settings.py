"""A run goes on as what it was: settings that would make it another run are refused, harmless ones are named."""

import dataclasses
import json
import os
import pathlib
import shutil

import pytest
import yaml

import rpax
from rpax.cli.main import main
from rpax.errors import InputError
from rpax.runs.changes import FREE, check_same_config, check_unchanged, ends_of, recorded_config
from rpax.runs.config import FIELDS, TrainConfig
from rpax.runs.directory import RunDirectory
from rpax.runs.lock import RunLock
from rpax.runs.manifest import Manifest, library_versions, read_manifest, sha256_of
from rpax.runs.run import no_progress, reopen

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> pathlib.Path:
    """A run that was stopped at update 2 of 4."""
    path = tmp_path_factory.mktemp("stopped") / "run"
    rpax.train("sp", "matrix/figure-2", exact=True, updates=4, log_every=2, minutes=1e-9, out=path)
    return path


def changed(stopped: pathlib.Path, tmp_path: pathlib.Path, **settings: object) -> pathlib.Path:
    run = shutil.copytree(stopped, tmp_path / "run")
    values = yaml.safe_load((run / "config.yaml").read_text()) | settings
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    return run


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"base_rate": 0.06}, "base_rate in config.yaml is 0.06 now and was 0.05"),
        ({"seed": 3}, "seed in config.yaml is 3 now and was 0"),
        ({"seeds": 2}, "seeds in config.yaml is 2 now and was 1"),
        ({"environment": "matrix/figure-4"}, "environment in config.yaml is 'matrix/figure-4' now and was 'matrix/fig"),
        ({"exact": False}, "exact in config.yaml is False now and was True"),
        ({"log_every": 1}, "log_every in config.yaml is 1 now and was 2"),
        ({"snapshots": 1}, "snapshots in config.yaml is 1 now and was 0"),
        ({"precision": "float32"}, "precision in config.yaml is 'float32' now and was 'float64'"),
        ({"payoffs": [[float(i)] * 9 for i in range(9)]}, "payoffs in config.yaml is something with checksum"),
    ],
)
def test_a_setting_that_the_future_depends_on_is_refused(settings, says, stopped, tmp_path, capsys):
    run = changed(stopped, tmp_path, **settings)
    assert main(["resume", str(run), "--quiet"]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"rpax: run {run}: {says}")
    assert "until update 2, which would make it another run; set it back, or train anew" in message
    assert message.count("\n") == 1


def test_harmless_settings_are_named_and_leave_the_run_as_it_would_have_been(stopped, tmp_path):
    whole = rpax.train("sp", "matrix/figure-2", exact=True, updates=6, log_every=2, out=tmp_path / "whole")
    run = changed(stopped, tmp_path, updates=6, checkpoint_minutes=7.0, checkpoints_kept=1)
    session = reopen(run, until=None, minutes=None)
    assert session is not None
    assert session.notes == (
        "updates is 6 now and was 4; the updates made stay as they are",
        "checkpoint_minutes is 7.0 now and was 5.0; the updates made stay as they are",
        "checkpoints_kept is 1 now and was 2; the updates made stay as they are",
    )
    session.run(no_progress)
    assert (run / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["update-000000006"]
    states = [folder / "checkpoints" / "update-000000006" / "state.safetensors" for folder in (run, whole.path)]
    assert states[0].read_bytes() == states[1].read_bytes()


def test_another_objective_is_refused(stopped, tmp_path):
    run = shutil.copytree(stopped, tmp_path / "run")
    objective = yaml.safe_load((run / "objective.yaml").read_text())
    objective["edges"][0]["weight"] = 2.0
    (run / "objective.yaml").write_text(yaml.safe_dump(objective))
    with pytest.raises(
        InputError, match=r"edges in objective\.yaml is \[.* now and was \[.*; set it back, or train anew"
    ):
        rpax.resume(run)


def test_metrics_that_were_lost_are_named(stopped, tmp_path):
    run = shutil.copytree(stopped, tmp_path / "run")
    length = (run / "metrics.jsonl").stat().st_size
    assert json.loads((run / "checkpoints/update-000000002/manifest.json").read_text())["metrics_bytes"] == length
    (run / "metrics.jsonl").write_text("")
    session = reopen(run, until=None, minutes=None)
    assert session is not None
    assert session.notes == (
        f"{run}/metrics.jsonl has 0 of the {length} bytes that it had; the lines that are lost stay so",
    )


def test_what_is_lost_or_changed_is_said_although_quiet(stopped, tmp_path, capsys):
    run = changed(stopped, tmp_path, checkpoints_kept=1)
    (run / "metrics.jsonl").unlink()
    assert main(["resume", str(run), "--until", "6", "--quiet"]) == 0
    said = capsys.readouterr().err
    assert "checkpoints_kept is 1 now and was 2" in said
    assert "updates is 6 now and was 4" in said
    assert "the lines that are lost stay so" in said
    assert len(said.splitlines()) == 3


def test_a_changed_setting_of_a_stage_is_said(tmp_path, caplog):
    run = tmp_path / "run"
    settings = {"exact": True, "updates": 4, "log_every": 1, "population": 2}
    rpax.train("fcp", "matrix/figure-2", **settings, minutes=1e-9, out=run)
    values = yaml.safe_load((run / "config.yaml").read_text()) | {"checkpoints_kept": 1}
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    rpax.resume(run, minutes=1e-9)
    assert "checkpoints_kept is 1 now and was 2" in caplog.text


def test_the_configuration_is_read_once_nobody_else_writes_it(stopped, tmp_path, monkeypatch):
    run = shutil.copytree(stopped, tmp_path / "run")
    acquire = RunLock.acquire

    def after_another_process(lock: RunLock) -> None:
        if not lock.held:
            text = (run / "config.yaml").read_text()
            (run / "config.yaml").write_text(text.replace("checkpoint_minutes: 5.0", "checkpoint_minutes: 7.0"))
        acquire(lock)

    monkeypatch.setattr(RunLock, "acquire", after_another_process)
    rpax.resume(run, until=6)
    assert RunDirectory(run).read_config().checkpoint_minutes == 7.0
    assert RunDirectory(run).read_config().updates == 6


def test_a_stage_that_is_finished_is_not_used_with_other_settings(tmp_path):
    run = tmp_path / "run"
    rpax.train("fcp", "matrix/figure-2", exact=True, updates=4, population=2, minutes=1e-9, out=run)
    while rpax.load(run / "pool").status != "finished":
        rpax.resume(run, minutes=1e-9)
    values = yaml.safe_load((run / "config.yaml").read_text()) | {"base_rate": 0.06}
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=r"run .*pool: was made with base_rate 0\.05, which is 0\.06 now; set it back"):
        rpax.resume(run)


def test_a_number_written_otherwise_is_the_same_number(stopped, tmp_path):
    run = changed(stopped, tmp_path, checkpoint_minutes=5, shaping=1)
    session = reopen(run, until=None, minutes=None)
    assert session is not None
    assert session.notes == ()


def test_settings_of_a_new_version_do_not_stop_an_old_run(stopped, tmp_path):
    run = shutil.copytree(stopped, tmp_path / "run")
    values = yaml.safe_load((run / "config.yaml").read_text())
    del values["sinks"], values["snapshots"]
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    assert rpax.resume(run).status == "finished"


def test_whatever_is_not_known_to_be_harmless_is_written_down():
    recorded = recorded_config(TrainConfig("sp", "matrix/figure-2"))
    assert {*recorded.values, *FREE, "minutes"} == set(FIELDS)


@pytest.mark.parametrize("name", ["victim", "environment"])
def test_code_that_came_with_a_run_is_never_run(name, stopped, tmp_path):
    canary = tmp_path / "canary"
    run = changed(stopped, tmp_path)
    (run / "mine.py").write_text(f"open({str(canary)!r}, 'w')\n")
    values = yaml.safe_load((run / "config.yaml").read_text()) | {name: f"{run}/mine.py:agent"}
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    for attempt in (rpax.load, rpax.resume):
        with pytest.raises(
            InputError, match=rf"config\.yaml: {name}: .* is code in the folder itself, which is never run"
        ):
            attempt(run)
    assert not canary.exists()


@pytest.mark.parametrize(
    "module",
    ["sent_run.sent", "sent_run.folder.sent", "all_runs.sent_run.sent", "sent"],
)
def test_a_module_that_came_with_a_run_is_never_imported(module, stopped, tmp_path, monkeypatch):
    canary = tmp_path / "canary"
    run = shutil.copytree(stopped, tmp_path / "all_runs" / "sent_run")
    (run / "folder").mkdir()
    for file in (run / "sent.py", run / "folder" / "sent.py", run / "__init__.py"):
        file.write_text(f"open({str(canary)!r}, 'w')\n")
    for folder in (run.parent.parent, run.parent, run):
        monkeypatch.syspath_prepend(folder)
    values = yaml.safe_load((run / "config.yaml").read_text()) | {"environment": f"{module}:mine/game"}
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    for attempt in (rpax.load, rpax.resume):
        with pytest.raises(InputError, match=r"config\.yaml: environment: .* is code in the folder itself"):
            attempt(run)
    assert not canary.exists()


@pytest.mark.parametrize("path", [" {}/mine.py", "{}/mine.py/", "{}/folder/../mine.py"])
@pytest.mark.parametrize("name", ["victim", "environment"])
def test_code_that_came_with_a_run_is_found_however_it_is_written(name, path, stopped, tmp_path):
    run = changed(stopped, tmp_path, **{name: f"{path.format(tmp_path / 'run')}:agent"})
    (run / "mine.py").write_text("")
    with pytest.raises(InputError, match=rf"config\.yaml: {name}: .* is code in the folder itself"):
        rpax.load(run)


def test_a_module_of_the_users_own_is_no_code_that_came_with_a_run(stopped, tmp_path, monkeypatch):
    (tmp_path / "my_folder").mkdir()
    (tmp_path / "my_folder" / "my_game.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    run = changed(stopped, tmp_path, environment="my_folder.my_game:mine/game")
    assert rpax.load(run).config.environment == "my_folder.my_game:mine/game"


def test_only_victim_and_partner_of_the_configuration_name_fixed_agents(tmp_path):
    canary = tmp_path / "canary"
    run = tmp_path / "run"
    rpax.train("ap", "matrix/figure-2", exact=True, updates=2, minutes=1e-9, victim="uniform", out=run)
    (run / "sent.py").write_text(f"open({str(canary)!r}, 'w')\n")
    for file, before, after in (
        ("objective.yaml", "victim", "algorithm"),
        ("config.yaml", "victim: uniform", "victim: null"),
        ("config.yaml", "algorithm: ap", f"algorithm: {run}/sent.py:go"),
    ):
        text = (run / file).read_text()
        assert before in text
        (run / file).write_text(text.replace(before, after))
    shutil.rmtree(run / "checkpoints")
    shutil.rmtree(run / "fixed")
    (run / "metrics.jsonl").unlink()
    (run / "results.json").unlink()
    with pytest.raises(InputError, match="its algorithm was an object in Python, which no file holds; train it anew"):
        rpax.resume(run)
    (run / "policies").rename(run / "kept")
    (run / "policies").mkdir()
    unfinished = rpax.load(run)
    with pytest.raises(InputError, match="its algorithm was an object in Python"):
        dataclasses.replace(unfinished, status="finished").agent("algorithm")
    assert not canary.exists()


def test_a_file_of_the_users_own_may_move(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, name in (("old", "mine.py"), ("new", "ours.py")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("def fair(observations):\n    return [[0.5, 0.5]] * len(observations)\n")
    old, new = "old/mine.py:fair", "new/ours.py:fair"
    run = tmp_path / "run"
    rpax.train("ap", "matrix/figure-2", exact=True, updates=2, log_every=1, minutes=1e-9, victim=old, out=run)
    session = reopen(changed(run, tmp_path / "moved", victim=new), until=None, minutes=None)
    assert session is not None
    assert session.notes == (f"victim in config.yaml is '{new}' now and was '{old}'; the file must say what it said",)
    for other in ("new/ours.py:unfair", "uniform", f"{run}:fair"):
        config = dataclasses.replace(RunDirectory(run).read_config(), victim=other)
        manifest = read_manifest(run / "checkpoints" / "update-000000001")
        with pytest.raises(InputError, match=r"run: victim in config\.yaml is .* now and was .*; set it back"):
            check_unchanged("run", manifest, config, RunDirectory(run).read_objective())


def test_a_file_that_moved_hides_no_other_change():
    before = TrainConfig("sp", "old/mine.py:mine/game", base_rate=0.1)
    check_same_config("run", before, dataclasses.replace(before, environment="new/ours.py:mine/game"))
    for changes in ({"environment": "new/ours.py:mine/other"}, {"environment": "ours.py:mine/game", "base_rate": 0.2}):
        with pytest.raises(InputError, match=f"was made with {list(changes)[-1]} "):
            check_same_config("run", before, dataclasses.replace(before, **changes))


def test_another_version_of_what_compiles_the_updates_is_named(stopped, monkeypatch):
    monkeypatch.setattr(
        "rpax.runs.changes.library_versions", lambda: library_versions() | {"jaxlib": "99.1", "optax": "99.2"}
    )
    session = reopen(stopped, until=None, minutes=None)
    assert session is not None
    assert session.notes == (
        f"jaxlib is 99.1 now and was {library_versions()['jaxlib']} until update 2; numbers may differ in their last "
        "bits from those of a run that was not stopped",
    )


def notes_of(run: pathlib.Path) -> tuple[str, ...]:
    session = reopen(run, until=None, minutes=None)
    assert session is not None
    return session.notes


def test_another_number_of_threads_or_devices_is_named(stopped, monkeypatch):
    threads = os.environ.get("NPROC") or len(os.sched_getaffinity(0))
    file = stopped / "checkpoints" / "update-000000002" / "manifest.json"
    assert json.loads(file.read_text())["machine"] == {"backend": "cpu", "devices": 1, "threads": int(threads)}
    monkeypatch.setenv("NPROC", "97")
    end = "until update 2; numbers may differ in their last bits from those of a run that was not stopped"
    assert notes_of(stopped) == (f"number of threads is 97 now and was {threads} {end}",)
    monkeypatch.setenv("NPROC", str(threads))
    assert notes_of(stopped) == ()
    monkeypatch.setattr("rpax.training.trainer.Trainer.devices", 3)
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    assert notes_of(stopped) == (
        f"backend is gpu now and was cpu {end}",
        f"number of devices is 3 now and was 1 {end}",
    )


def test_a_manifest_that_does_not_say_what_was_added_later_is_read(stopped, tmp_path):
    run = shutil.copytree(stopped, tmp_path / "run")
    file = run / "checkpoints" / "update-000000002" / "manifest.json"
    content = json.loads(file.read_text())
    for name in ("machine", "ends", "fixed", "sha256"):
        del content[name]
    file.write_text(json.dumps(content | {"sha256": sha256_of(content)}))
    manifest = read_manifest(file.parent)
    assert (manifest.machine, manifest.ends, manifest.fixed) == (None, None, None)
    assert notes_of(run) == ()
    # It does say what was asked for last.
    assert ends_of(manifest, 9) == (4, 9)
    assert rpax.resume(run).status == "finished"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("machine", []),
        ("machine", {"threads": None}),
        ("ends", []),
        ("ends", [-1]),
        ("ends", ["4"]),
        ("ends", 4),
        ("fixed", {"victim": 3}),
        ("fixed", {"victim": "a" * 63}),
        ("fixed", []),
    ],
)
def test_a_manifest_in_which_they_are_something_else_is_refused(name, value, stopped, tmp_path):
    run = shutil.copytree(stopped, tmp_path / "run")
    file = run / "checkpoints" / "update-000000002" / "manifest.json"
    content = json.loads(file.read_text()) | {name: value}
    del content["sha256"]
    file.write_text(json.dumps(content | {"sha256": sha256_of(content)}))
    with pytest.raises(InputError, match=r"manifest\.json is damaged, it has "):
        read_manifest(file.parent)


def test_every_end_is_remembered_in_its_order_and_once():
    manifest = Manifest(5, 6, None, None, None, None, "", 0, ends=(10, 6))
    assert ends_of(manifest, 6) == (10, 6)
    assert ends_of(manifest, 12) == (10, 6, 12)
    assert ends_of(dataclasses.replace(manifest, ends=None, until=None), 7) == ends_of(None, 7) == (7,)
