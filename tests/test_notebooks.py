"""The notebooks: their cells run, and they come with their outputs."""

import json
import pathlib
import re

import pytest

from rpax.environments.registry import ENVIRONMENTS

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def code_cells(path: pathlib.Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


#: The others take longer.
QUICK = "attack-a-policy"


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem == QUICK else pytest.mark.slow) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_cells_run_one_after_the_other_and_print_what_is_shown(path, tmp_path, monkeypatch, capsys):
    """The words are the same; numbers may differ in their last digits from machine to machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(ENVIRONMENTS, "mine/doors", raising=False)
    names: dict = {}
    for number, cell in enumerate(code_cells(path)):
        exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
        shown = "".join("".join(output["text"]) for output in cell["outputs"] if output.get("name") == "stdout")
        assert words(capsys.readouterr().out) == words(shown)
    ENVIRONMENTS.pop("mine/doors", None)


def words(text: str) -> list[str]:
    """What is printed without its numbers."""
    return re.findall(r"[A-Za-z_]+", text)


def test_notebooks_hold_outputs_and_no_errors():
    assert len(NOTEBOOKS) == 2
    for path in NOTEBOOKS:
        outputs = [output for cell in code_cells(path) for output in cell["outputs"]]
        assert outputs
        assert not [output for output in outputs if output["output_type"] == "error"]
