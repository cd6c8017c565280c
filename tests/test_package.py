"""The package from outside: what it exports, that it is typed, and that importing it costs nothing."""

import importlib.resources
import pathlib
import re
import subprocess
import sys

import pytest

import rpax


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60)


def test_the_package_is_typed():
    assert importlib.resources.files("rpax").joinpath("py.typed").is_file()


@pytest.mark.parametrize("name", rpax.__all__)
def test_every_public_name_is_there(name):
    assert getattr(rpax, name) is not None
    assert name in dir(rpax)


def test_what_users_rely_on_is_public():
    fixed = "make algorithm train load resume rationality Objective ObjectiveEdge Environment register estimators"
    assert set(fixed.split()) <= set(rpax.__all__)
    assert callable(rpax.estimators.loaded_dice)
    assert callable(rpax.estimators.influence_credits)


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'rpax' has no attribute 'trian'"):
        rpax.trian  # noqa: B018  # type: ignore[attr-defined]


def test_importing_rpax_imports_nothing_heavy():
    heavy = ["jax", "flax", "optax", "numpy", "scipy", "matplotlib", "yaml", "tyro", "rich"]
    ended = run_python("-c", f"import sys, rpax; rpax.__version__; print(set({heavy}) & set(sys.modules))")
    assert ended.stdout == "set()\n", ended.stderr


def test_objectives_need_no_jax():
    code = "import sys, rpax; rpax.algorithm('ad-rpg'); rpax.Objective; rpax.InputError; print('jax' in sys.modules)"
    assert run_python("-c", code).stdout == "False\n"


def test_python_m_rpax_is_the_command():
    ended = run_python("-m", "rpax", "--version")
    assert (ended.returncode, ended.stdout) == (0, f"rpax {rpax.__version__}\n")


def test_the_version_is_the_same_everywhere():
    root = pathlib.Path(__file__).parent.parent
    assert f"version: {rpax.__version__}\n" in (root / "CITATION.cff").read_text(encoding="utf-8")
    assert (
        re.findall(r"^## (\S+)", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
        == rpax.__version__
    )
