"""What every test needs before `rpax` and `jax` are imported, and a run that several of them read."""

import gc
import importlib.metadata
import importlib.util
import os
import pathlib
import sys
from typing import Any

import pytest
from jaxtyping import install_import_hook

# Most of the time goes into compiling programs that run for milliseconds, so they are compiled without optimisation.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# XLA stops at flags that it does not know, so later versions do without this one. It saves a third of the time.
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) == (0, 10):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".lstrip()
# As in the command: tracing makes very many objects that live.
gc.set_threshold(50_000, 20, 100)

#: Modules that take whatever a user writes and refuse it themselves, with a better message; tests give them anything.
CHECKS_ITSELF = ("rpax.errors", "rpax.objectives", "rpax.runs.config", "rpax.evaluation.sequence_form")


def modules_to_check() -> list[str]:
    """Every other module of the package."""
    spec = importlib.util.find_spec("rpax")
    assert spec is not None, "install the package first: pip install -e '.[dev]'"
    assert spec.submodule_search_locations is not None
    root = pathlib.Path(spec.submodule_search_locations[0])
    names = [".".join(("rpax", *path.relative_to(root).with_suffix("").parts)) for path in sorted(root.rglob("*.py"))]
    return [name for name in names if not name.endswith(".__init__") and not name.startswith(CHECKS_ITSELF)]


assert "rpax" not in sys.modules, "annotations are checked in modules that are imported from here on"
# Types, and types and shapes of arrays, of arguments and results at every call. An int is a float (PEP 484).
install_import_hook(modules_to_check(), "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Programs that several tests compile are compiled once for all workers, and not kept in the user's cache."""
    of_worker = tmp_path_factory.getbasetemp()
    shared = of_worker.parent if "PYTEST_XDIST_WORKER" in os.environ else of_worker
    os.environ["RPAX_CACHE"] = str(shared / "cache")
    from rpax.runs.compilation_cache import use_compilation_cache

    use_compilation_cache()


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The directory of exact AT-RPG on Figure 2's game, seeds 0 and 1, finished at update 4. Copy it to change it."""
    import rpax

    path = tmp_path_factory.mktemp("finished") / "run"
    rpax.train("at-rpg", "matrix/figure-2", exact=True, seeds=2, updates=4, out=path)
    return path


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end without the second that drawing takes."""
    monkeypatch.setattr("rpax.reports.run_plots.draw_run_plots", lambda *arguments: [])


@pytest.fixture(scope="session")
def trained_at_rpg() -> Any:
    """Exact AT-RPG on the payoffs of Figure 2's game with default settings, seeds 0 and 1; nothing is written."""
    import rpax

    env = rpax.make("matrix/custom", payoffs=[[1, 0, -1], [0, 1, -1]])
    return rpax.train("at-rpg", env, seeds=[0, 1], exact=True, lookahead=4)
