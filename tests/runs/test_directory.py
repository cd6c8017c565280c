"""What is somebody else's in the folder that is to become a run directory stays as it is."""

import json
import pathlib

import pytest

import rpax
from rpax.errors import InputError
from rpax.objectives.catalogue import algorithm
from rpax.runs.config import TrainConfig
from rpax.runs.directory import RunDirectory

CONFIG, OBJECTIVE = TrainConfig("sp", "matrix/figure-2"), algorithm("sp")


def content(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "mine",
    [
        {"objective.yaml": "mine"},
        {"versions.json": "{}"},
        {"objective.yaml": "mine", "versions.json": "{}"},
        {"lock": "mine"},
        {"config.yaml.part": "", "notes.txt": "mine"},
        {"config.yaml.part": "", "lock": "mine"},
    ],
    ids="-".join,
)
def test_a_folder_that_holds_files_of_somebody_else_is_refused_and_untouched(mine, tmp_path):
    for name, text in mine.items():
        (tmp_path / name).write_text(text)
    before = content(tmp_path)
    with pytest.raises(InputError, match="exists and is not empty; choose another --out"):
        rpax.train("sp", "matrix/figure-2", exact=True, updates=1, out=tmp_path)
    assert content(tmp_path) == before


def test_a_link_called_lock_is_somebody_elses(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").symlink_to(tmp_path / "empty")
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="exists and is not empty"):
        RunDirectory.create(tmp_path / "run", CONFIG, OBJECTIVE)


@pytest.mark.parametrize("name", ["config.yaml.part", "objective.yaml", "versions.json"])
def test_nothing_is_written_through_a_link_in_the_folder_that_is_to_become_a_run_directory(name, tmp_path):
    run, mine = tmp_path / "run", tmp_path / "mine"
    run.mkdir()
    (run / "config.yaml.part").touch()
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(mine)
    with pytest.raises(InputError, match="exists and is not empty"):
        RunDirectory.create(run, CONFIG, OBJECTIVE)
    assert not mine.exists()


class Killed(BaseException):
    """Stands for the end of a process."""


@pytest.mark.parametrize("at", ["save_objective", "_versions", "write_text"])
def test_what_a_killed_creation_left_behind_is_gone_on_with(at, tmp_path, monkeypatch):
    """Nothing is tidied up by a process that is killed; its lock stays."""

    def die(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(f"rpax.runs.directory.{at}", die)
        patched.setattr("pathlib.Path.unlink", lambda *arguments, **options: None)
        with pytest.raises(Killed):
            RunDirectory.create(tmp_path / "run", CONFIG, OBJECTIVE)
    owner = {"host": "gone", "pid": 7, "started": None, "inode": 1}
    (tmp_path / "run" / "lock").write_text(json.dumps(owner))
    assert (tmp_path / "run" / "config.yaml.part").exists()
    made = RunDirectory.create(tmp_path / "run", CONFIG, OBJECTIVE)
    made.lock.release()
    assert {*content(made.path)} == {"config.yaml", "objective.yaml", "versions.json"}


def test_a_creation_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rpax.runs.directory.save_objective", refuse)
    with pytest.raises(InputError, match=r"cannot be created \(No space left on device\)"):
        RunDirectory.create(tmp_path / "run", CONFIG, OBJECTIVE)
    assert not (tmp_path / "run").exists()
