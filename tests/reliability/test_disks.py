"""Disks that are full, read-only or gone: one line names the file, the cause and the remedy, and nothing is lost."""

import errno
import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from kill_runs import differences, outcome

import rpax
from rpax.cli.main import main
from rpax.errors import InputError
from rpax.runs.checkpoint import list_checkpoints
from rpax.runs.sinks import JsonLines
from rpax.runs.writing import Unwritable, write_text, writing

EXACT: dict[str, Any] = {"exact": True, "seeds": 2}


@pytest.fixture
def small_disk(tmp_path) -> Iterator[pathlib.Path]:
    """A disk of 200 kB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which("mount") else None
    if mounted is None or mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here: {'no mount' if mounted is None else mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(disk: pathlib.Path) -> pathlib.Path:
    """A file that takes all the room that is left."""
    file = disk / "other-things"
    with file.open("wb", buffering=0) as room:
        while (left := shutil.disk_usage(disk).free) > 0:
            room.write(b"x" * left)
    return file


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    assert line.startswith("rpax: ")
    assert "Traceback" not in text
    return line


def test_a_full_disk_keeps_what_was_there_and_the_run_goes_on_when_there_is_room(
    small_disk, finished_run, tmp_path, capsys, no_plots
):
    run = shutil.copytree(finished_run, small_disk / "run", ignore=shutil.ignore_patterns("plots"))
    before = outcome(run)
    other_things = fill(small_disk)
    assert main(["resume", str(run), "--until", "8", "--quiet"]) == 2
    line = one_line(capsys.readouterr().err)
    assert str(run) in line
    assert "No space left on device" in line
    assert "make room on the disk, then go on with `rpax resume`" in line
    assert outcome(run) == before, "nothing is lost"
    assert not [path for path in run.rglob("*") if path.name.endswith(".part")]

    other_things.unlink()
    assert main(["resume", str(run), "--until", "8", "--quiet"]) == 0
    rpax.train("at-rpg", "matrix/figure-2", **EXACT, updates=8, log_every=1, out=tmp_path / "whole")
    # Its manifest remembers that it was to end elsewhere.
    assert differences(run, outcome(tmp_path / "whole")) == ["checkpoints/update-000000008/manifest.json"]


def test_a_disk_that_fills_up_in_training_keeps_the_last_good_checkpoint(small_disk, tmp_path, capsys, no_plots):
    run = small_disk / "run"
    options = ["--exact", "--updates", "5000", "--log-every", "1", "--checkpoint-minutes", "1e-9", "--seeds", "2"]
    command = ["train", "at-rpg", "matrix/figure-2", *options, "--quiet"]
    assert main([*command, "--out", str(run)]) == 2
    line = one_line(capsys.readouterr().err)
    assert "No space left on device" in line
    last = list_checkpoints(run / "checkpoints")[-1]
    update = int(last.name.rpartition("-")[2])
    assert 0 < update < 5000
    assert rpax.load(run).update == update
    assert not (run / "lock").exists()
    # Copied to where there is room, it goes on as if nothing had been.
    moved = shutil.copytree(run, tmp_path / "moved")
    assert main(["resume", str(moved), "--until", str(update + 3), "--quiet"]) == 0
    rpax.train(
        "at-rpg", "matrix/figure-2", **EXACT, updates=update + 3, log_every=1, checkpoint_minutes=1e-9,
        out=tmp_path / "whole",
    )  # fmt: skip
    # Its manifest remembers that it was to end elsewhere.
    manifest = f"checkpoints/update-{update + 3:09d}/manifest.json"
    assert differences(moved, outcome(tmp_path / "whole")) == [manifest]


def test_on_a_read_only_disk_a_run_is_read_but_not_resumed(small_disk, finished_run, tmp_path, capsys):
    run = shutil.copytree(finished_run, small_disk / "run", ignore=shutil.ignore_patterns("plots"))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert main(["resume", str(run), "--until", "6", "--quiet"]) == 2
    line = one_line(capsys.readouterr().err)
    assert "Read-only file system" in line
    assert "make it writable, or copy the run to where you may write" in line
    assert main(["train", "sp", "matrix/figure-2", "--exact", "--out", str(small_disk / "new"), "--quiet"]) == 2
    assert "cannot be created (Read-only file system); choose another --out" in one_line(capsys.readouterr().err)

    assert main(["report", str(run), "--no-cross-play", "--out", str(small_disk / "new"), "--quiet"]) == 2
    assert "Read-only file system" in one_line(capsys.readouterr().err)

    loaded = rpax.load(run)
    assert (loaded.status, loaded.update, len(loaded.metrics())) == ("finished", 4, 8)
    assert loaded.agent("victim").policy is not None
    assert main(["resume", str(run), "--quiet"]) == 0, "it is finished"
    played = ["cross-play", str(run), "--episodes", "10", "--out", str(tmp_path / "played"), "--quiet"]
    assert main(played) == 0
    assert main(["report", str(run), "--no-cross-play", "--out", str(tmp_path / "report"), "--quiet"]) == 0


def test_a_run_directory_that_vanishes_is_told_and_not_made_anew(tmp_path, no_plots):
    run = tmp_path / "run"

    def vanish(update: int, until: int, rows: Any) -> None:
        if update == 3:
            shutil.rmtree(run)

    with pytest.raises(InputError, match=r"bring it back, then go on with `rpax resume`"):
        rpax.train("sp", "matrix/figure-2", exact=True, updates=5, log_every=1, out=run, progress=vanish)
    assert not run.exists()


@pytest.mark.parametrize(
    ("what", "number"),
    [
        ("checkpoint", errno.ENOSPC),
        ("metrics", errno.EDQUOT),
        ("policies", errno.EACCES),
        ("plots", errno.EROFS),
        ("results", errno.EIO),
    ],
)
def test_whatever_cannot_be_written_is_named_with_cause_and_remedy(what, number, finished_run, tmp_path, monkeypatch):
    """The system refuses from the fifth update on."""
    run = shutil.copytree(finished_run, tmp_path / "run")

    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number), "somewhere")

    replace = pathlib.Path.replace
    places = {
        "checkpoint": "rpax.runs.session.save_checkpoint",
        "metrics": "rpax.runs.sinks._is_removed",
        "policies": "rpax.runs.session.save_policy",
        "plots": "matplotlib.figure.Figure.savefig",
        "results": "pathlib.Path.replace",
    }
    if what != "plots":
        monkeypatch.setattr("rpax.reports.run_plots.draw_run_plots", lambda *_: [])

    def refuse_results(file: pathlib.Path, target: pathlib.Path) -> Any:
        return refuse() if target.name == "results.json" else replace(file, target)

    monkeypatch.setattr(places[what], refuse_results if what == "results" else refuse)
    before = {file: file.read_bytes() for file in (run / "checkpoints").rglob("*") if file.is_file()}
    with pytest.raises(InputError) as told:
        rpax.resume(run, until=5)
    assert os.strerror(number) in str(told.value)
    assert "then go on with `rpax resume`" in str(told.value)
    assert "\n" not in str(told.value)
    kept = {file: file.read_bytes() for file in (run / "checkpoints").rglob("*") if file.is_file()}
    if what in ("checkpoint", "metrics"):
        assert kept == before
    else:
        # The update is saved; of the two that are kept one is as it was.
        assert [folder.name[-1] for folder in list_checkpoints(run / "checkpoints")] == ["4", "5"]
        assert {file for file in before if "update-000000004" in str(file)} == {*before} & {*kept}
        assert before.items() >= {file: kept[file] for file in before if file in kept}.items()
    assert not (run / "lock").exists()
    monkeypatch.undo()
    assert (rpax.resume(run, until=5).status, rpax.load(run).update) == ("finished", 5)


def test_pictures_of_a_run_that_do_not_fit_on_the_disk_are_drawn_when_there_is_room(
    small_disk, finished_run, capsys, monkeypatch
):
    run = shutil.copytree(finished_run, small_disk / "run", ignore=shutil.ignore_patterns("results.json", "plots"))
    (run / "plots").mkdir()
    (run / "plots" / "learning-curves.png").write_bytes(b"old")
    monkeypatch.setattr("rpax.runs.session.write_policies", lambda *_: fill(small_disk))
    assert main(["resume", str(run), "--quiet"]) == 2
    line = one_line(capsys.readouterr().err)
    assert line.startswith(f"rpax: {run}/plots/")
    assert line.endswith("(No space left on device); make room on the disk, then go on with `rpax resume`")
    assert {file.name: file.read_bytes() for file in (run / "plots").iterdir()} == {"learning-curves.png": b"old"}


@pytest.fixture(scope="module")
def attack_run(tmp_path_factory) -> pathlib.Path:
    """The directory of an attack that was judged."""
    path = tmp_path_factory.mktemp("attack") / "run"
    rpax.attack([0.8, 0.2], "matrix/figure-2", "ap", exact=True, updates=2, out=path, replays=1)
    return path


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_verdict_that_cannot_be_written_down_is_printed_all_the_same(trouble, small_disk, attack_run, capsys, caplog):
    run = shutil.copytree(attack_run, small_disk / "run", ignore=shutil.ignore_patterns("plots", "attack.png"))
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    assert run / "best_response.safetensors" in before
    reason = {"full": "No space left on device", "read-only": "Read-only file system"}[trouble]
    if trouble == "full":
        fill(small_disk)
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for options in ([], ["--json"]):
        assert main(["attack", str(run), "--evaluate", "--updates", "3", "--quiet", *options]) == 2
        output, complaint = capsys.readouterr()
        assert json.loads(output)["verdict"]["name"] if options else "verdict: " in output
        line = one_line(complaint)
        assert line.startswith(f"rpax: {run}/best_response.safetensors cannot be written ({reason}); ")
        assert line.endswith(f", then judge it anew with `rpax attack {run} --evaluate`")
        assert f"nothing can be written to {run} ({reason})" in caplog.text, "it is told before training"
        assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before


def test_replays_of_an_attack_that_do_not_fit_are_told_with_how_to_go_on(attack_run, tmp_path, capsys, monkeypatch):
    run = shutil.copytree(attack_run, tmp_path / "run")

    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rpax.reports.moving_picture._write_animation", refuse)
    assert main(["attack", str(run), "--evaluate", "--no-best-response", "--quiet"]) == 2
    output, complaint = capsys.readouterr()
    assert "verdict: " in output
    line = one_line(complaint)
    assert f"{run}/replays/worst-1-victim-adversary.gif cannot be written (No space left on device)" in line
    assert line.endswith(f"then judge it anew with `rpax attack {run} --evaluate`")


BIG = "x" * 30_000


def keep_cross_play(disk: pathlib.Path, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rpax.reports import cross_play_report

    agent = rpax.train("sp", "matrix/figure-2", exact=True, updates=1)
    result = rpax.cross_play([agent], episodes=2)
    monkeypatch.setattr(cross_play_report, "as_csv", lambda result: f"table{size}")
    cross_play_report.write_cross_play(result, disk)


def keep_document(disk: pathlib.Path, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rpax.reproduce import runner

    monkeypatch.setattr(runner, "experiment_to_dict", lambda experiment, results: {"x": size})
    runner.write_document(runner.find_experiments("figure-2")[0], [], disk)


def keep_cell(disk: pathlib.Path, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rpax.reproduce.cells import write_cell

    write_cell(disk / "cell.json", {"x": size})


def keep_objective(disk: pathlib.Path, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rpax.objectives import files

    monkeypatch.setattr(files, "format_yaml", lambda *arguments, **options: f"x: {size}")
    files.save_objective(rpax.algorithm("sp"), disk / "objective.yaml")


def keep_report(disk: pathlib.Path, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rpax.reports import run_report

    monkeypatch.setattr(run_report, "_differences", lambda *arguments: "")
    monkeypatch.setattr(run_report, "_diagnoses", lambda *arguments: f"x{size}")
    run_report.write_report([], disk)


@pytest.mark.parametrize("keep", [keep_cross_play, keep_document, keep_cell, keep_objective, keep_report])
def test_a_full_disk_empties_nothing_that_was_written_before(keep, small_disk, monkeypatch):
    keep(small_disk, "", monkeypatch)
    before = {file: file.read_bytes() for file in small_disk.iterdir()}
    assert before
    other_things = fill(small_disk)
    with pytest.raises(
        InputError, match=r"cannot be written \(No space left on device\); choose another (--out|place)"
    ):
        keep(small_disk, BIG, monkeypatch)
    other_things.unlink()
    assert {file: file.read_bytes() for file in small_disk.iterdir()} == before


def test_a_picture_is_written_through_no_link(tmp_path):
    from rpax.reports.figure_style import new_figure, save_figure

    (tmp_path / "mine.png").write_text("mine")
    (tmp_path / "picture.png").symlink_to(tmp_path / "mine.png")
    save_figure(new_figure(1, 1), tmp_path / "picture.png")
    assert (tmp_path / "mine.png").read_text() == "mine"
    assert not (tmp_path / "picture.png").is_symlink()


@pytest.mark.parametrize("kind", ["folder", "pipe"])
@pytest.mark.parametrize("name", ["lock", "results.json"])
def test_what_is_no_file_where_one_belongs_is_told_before_training(name, kind, finished_run, tmp_path, capsys):
    run = shutil.copytree(finished_run, tmp_path / "run", ignore=shutil.ignore_patterns("results.json"))
    (run / name).mkdir() if kind == "folder" else os.mkfifo(run / name)
    before = outcome_of_checkpoints(run)
    assert main(["resume", str(run), "--until", "6", "--quiet"]) == 2
    line = one_line(capsys.readouterr().err)
    assert f"{run / name} is a folder or no file at all; remove it" in line
    assert outcome_of_checkpoints(run) == before


def outcome_of_checkpoints(run: pathlib.Path) -> list[str]:
    return [folder.name for folder in list_checkpoints(run / "checkpoints")]


def test_gaps_that_cannot_be_written_down_are_printed_all_the_same(finished_run, tmp_path, capsys, monkeypatch):
    run = shutil.copytree(finished_run, tmp_path / "run", ignore=shutil.ignore_patterns("certificates.json"))
    assert main(["certify", str(run), "--agent", "victim"]) == 0
    printed = capsys.readouterr().out

    def refuse(path: pathlib.Path, text: str) -> None:
        raise Unwritable(path, errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("rpax.runs.directory.write_text", refuse)
    assert main(["certify", str(run)]) == 0
    output, complaint = capsys.readouterr()
    assert {*printed.splitlines()} <= {*output.splitlines()}
    assert "certificates.json could not be written (Read-only file system)" in one_line(complaint)
    assert not (run / "certificates.json").exists()


def test_gaps_of_a_run_on_a_read_only_disk_are_printed(small_disk, finished_run, capsys):
    run = shutil.copytree(finished_run, small_disk / "run", ignore=shutil.ignore_patterns("plots"))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert main(["certify", str(run), "--quiet"]) == 0
    output, complaint = capsys.readouterr()
    assert "victim  seat 0  gap " in output
    assert "certificates.json could not be written (Read-only file system)" in one_line(complaint)


def test_what_is_written_for_a_moment_is_written_through_no_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "file.json.part").symlink_to(tmp_path / "mine")
    write_text(tmp_path / "file.json", "new")
    assert (tmp_path / "file.json").read_text() == "new"
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_policy_file_that_the_library_cannot_write_is_told_by_what_the_system_says(tmp_path):
    from safetensors import SafetensorError

    full = r"x\.safetensors cannot be written \(No space left on device\); make room"
    with pytest.raises(Unwritable, match=full), writing(tmp_path / "x.safetensors"):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    with pytest.raises(SafetensorError), writing(tmp_path / "x.safetensors"):
        raise SafetensorError("something else")


def test_what_was_there_stays_where_the_new_content_cannot_be_written(tmp_path, monkeypatch):
    file = tmp_path / "file.json"
    write_text(file, "old")

    def refuse(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr("rpax.runs.writing.os.fsync", refuse)
    with pytest.raises(Unwritable, match="make room within your quota"):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_lines_that_are_cut_off_are_cut_in_place_and_no_other_line_changes(tmp_path):
    path = tmp_path / "metrics.jsonl"
    kept = b'{"update":1, "seed":0,  "x": 1e2}\n{"update": 2, "seed": 0, "x": NaN}\n'
    path.write_bytes(kept + b'{"update": 3, "seed": 0}\n{"update": 4, "se')
    inode = path.stat().st_ino
    JsonLines(path, resume_at=2).close()
    assert path.read_bytes() == kept
    assert path.stat().st_ino == inode


def test_a_moved_run_goes_on_where_it_is_now(tmp_path, no_plots):
    settings = {**EXACT, "updates": 4, "log_every": 1}
    rpax.train("at-rpg", "matrix/figure-2", **settings, out=tmp_path / "whole")
    rpax.train("at-rpg", "matrix/figure-2", **settings, minutes=1e-9, out=tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "run").rename(tmp_path / "elsewhere" / "moved")
    assert rpax.resume(moved).status == "finished"
    assert not (tmp_path / "run").exists()
    # That the run had a time limit is in its configuration.
    assert differences(moved, outcome(tmp_path / "whole")) == ["config.yaml"]
