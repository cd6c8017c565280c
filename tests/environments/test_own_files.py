"""Environments named together with the file or module that registers them."""

import sys

import pytest

import rpax
from rpax.cli.main import main
from rpax.environments import own_files, registry
from rpax.runs.directory import default_directory

GAME = """
import neighbour
import rpax
from rpax.environments.matrix import make_matrix_game

rpax.register("mine/figure", lambda name: make_matrix_game("matrix/figure-2"), tabular=True)
rpax.register("mine/other", lambda name, *, size: None)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a file of games; whatever it registers is forgotten after the test."""
    monkeypatch.setattr(registry, "ENVIRONMENTS", dict(registry.ENVIRONMENTS))
    monkeypatch.setattr(own_files, "_imported", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_games.py").write_text(GAME)
    (tmp_path / "neighbour.py").write_text("")
    return tmp_path


def test_the_command_trains_what_a_file_registers(folder, capsys):
    name = "my_games.py:mine/figure"
    assert main(["train", "sp", name, "--exact", "--updates", "2", "--quiet", "--out", "run"]) == 0
    run = rpax.load("run")
    assert run.config.environment == name
    assert run.to_dict()["environment"] == name
    # Going on asks for the environment by its name again.
    assert main(["resume", "run", "--until", "3", "--quiet"]) == 0
    assert rpax.load("run").update == 3


def test_a_module_is_imported_by_its_name(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    assert rpax.make("my_games:mine/figure").spaces[1].num_actions == 3


def test_run_directories_are_called_after_what_the_file_registers(folder):
    assert default_directory("sp", "deep/my_games.py:mine/figure").name.endswith("-sp-mine-figure")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("their_games.py:mine/figure", r"file 'their_games.py' cannot be imported: there is no file"),
        ("their_games:mine/figure", r"module 'their_games' cannot be imported: No module named 'their_games'"),
        (
            "my_games.py:mine/figur",
            r"'my_games.py' registers no environment 'mine/figur'; did you mean 'mine/figure'\?",
        ),
        ("my_games.py:", r"registers no environment ''; known: mine/figure, mine/other"),
        ("my_games.py:matrix/figure-2", r"registers no environment 'matrix/figure-2'"),
        ("neighbour.py:x", "call rpax.register where it is imported, not under main"),
        ("broken.py:x", "file 'broken.py' cannot be imported: ZeroDivisionError: division by zero"),
        ("clashing.py:x", "cannot be imported: InputError: environment 'matrix/figure-2' is already registered"),
    ],
)
def test_what_cannot_be_imported_or_is_not_registered(folder, name, says):
    (folder / "broken.py").write_text("1 / 0")
    (folder / "clashing.py").write_text("import rpax; rpax.register('matrix/figure-2', dict)")
    with pytest.raises(rpax.InputError, match=says):
        rpax.make(name)


def test_options_are_those_of_the_factory(folder):
    with pytest.raises(rpax.InputError, match="needs the option 'size'"):
        rpax.make("my_games.py:mine/other")
    with pytest.raises(rpax.InputError, match="no option 'sise'; it takes size"):
        rpax.make("my_games.py:mine/other", sise=3)


def test_registered_names_have_no_colon():
    with pytest.raises(rpax.InputError, match="'mine:game' has a colon"):
        rpax.register("mine:game", dict)
