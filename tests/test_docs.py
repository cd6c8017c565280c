"""What the documentation says: its links lead somewhere, its Python runs, the API reference is complete."""

import importlib.util
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import rpax
from rpax.cli.parse import parse
from rpax.cli.train import Command
from rpax.environments.registry import ENVIRONMENTS
from rpax.runs.prepare import prepare
from rpax.runs.session import make_environment

ROOT = pathlib.Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if not t.startswith("http") and not (page.parent / t).exists()]
    assert not missing


def test_the_python_of_the_readme_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "0.0" in capsys.readouterr().out


def test_the_python_about_fixed_agents_runs(capsys, monkeypatch):
    from rpax.policies import scripted

    monkeypatch.setattr(scripted, "PARTNERS", dict(scripted.PARTNERS))
    text = (ROOT / "docs" / "fixed-agents.md").read_text(encoding="utf-8")
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(block, "fixed-agents.md", "exec"), names)
    assert capsys.readouterr().out.startswith("<Agent 'idle': seats 0, 1, 0 parameters> {0: 'shared', 1: 'shared'}")
    assert names["victim"].seats == names["greedy_agent"].seats == (0, 1)


COMMANDS = [
    line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("rpax train ")
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="the commands are written for a shell")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_training_commands_can_be_trained(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "kitchen.txt").write_text("WPXW\nOA W\nW AW\nWBWW\n")
    guide, notebook = (ROOT / "docs" / name for name in ("guide.md", "notebooks/robust-population.ipynb"))
    (tmp_path / "two-adversaries.yaml").write_text(re.findall(r"```yaml\n(.*?)```", guide.read_text(), re.DOTALL)[0])
    (tmp_path / "my_game.py").write_text("".join(json.loads(notebook.read_text())["cells"][1]["source"]))
    monkeypatch.delitem(ENVIRONMENTS, "mine/doors", raising=False)
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], stdout=subprocess.PIPE, text=True, check=True)
    _, verb, *arguments = words.stdout.removesuffix("\0").split("\0")
    config, _ = prepare(parse(Command, verb, arguments).settings())
    (tmp_path / "kitchen.txt").unlink()  # what was read is kept
    assert make_environment(config).name == config.environment


def run_file(path: pathlib.Path, *arguments: str) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(*arguments)


EXAMPLES = [
    # Compiles a deep game's program.
    pytest.param(path, marks=pytest.mark.slow) if path.stem == "custom_environment" else path
    for path in sorted(ROOT.glob("examples/*.py"))
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(example, capsys):
    run_file(example)
    assert capsys.readouterr().out


def test_the_yaml_example_is_a_valid_objective():
    objective = rpax.load_objective(ROOT / "examples" / "my-attack.yaml")
    assert objective.preserves_rationality
    assert objective.manipulators == ("manipulator",)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_api_reference_names_everything_public(tmp_path):
    pytest.importorskip("pdoc")
    run_file(ROOT / "docs" / "build_api.py", str(tmp_path))
    page = (tmp_path / "rpax.html").read_text(encoding="utf-8")
    assert [name for name in rpax.__all__ if f'id="{name}"' not in page and name != "estimators"] == []
    estimators = (tmp_path / "rpax" / "estimators" / "influence.html").read_text(encoding="utf-8")
    assert "influence_credits" in estimators
    assert sys.modules["rpax"].train is rpax.train
