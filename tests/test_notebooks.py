"""The notebooks: their cells run, and they come with their outputs."""

import json
import pathlib

import pytest

from rpax.environments.registry import ENVIRONMENTS

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def code_cells(path: pathlib.Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_run_one_after_the_other_and_print_what_is_shown(path, tmp_path, monkeypatch, capsys):
    """What is printed may differ in the last digits from machine to machine, but there are as many lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(ENVIRONMENTS, "mine/doors", raising=False)
    names: dict = {}
    for number, cell in enumerate(code_cells(path)):
        exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
        printed = capsys.readouterr().out
        shown = [output for output in cell["outputs"] if output.get("name") == "stdout"]
        assert len(printed.splitlines()) == len("".join("".join(o["text"]) for o in shown).splitlines())
    ENVIRONMENTS.pop("mine/doors", None)


def test_the_attacks_end_as_the_notebook_says():
    """AP's adversary is a saboteur, AP-RPG's shows a weakness."""
    shown = "".join(str(cell["outputs"]) for cell in code_cells(NOTEBOOKS[0]))
    assert "ap: sabotage" in shown
    assert "ap-rpg: real weakness" in shown


def test_notebooks_hold_outputs_and_no_errors():
    assert len(NOTEBOOKS) == 2
    for path in NOTEBOOKS:
        outputs = [output for cell in code_cells(path) for output in cell["outputs"]]
        assert outputs
        assert not [output for output in outputs if output["output_type"] == "error"]
