"""Nothing that rpax reads can run code: what its own source calls, and what the packages that parse files call."""

import ast
import importlib.util
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

import rpax

SOURCE = pathlib.Path(rpax.__file__).parent
#: Modules whose files run code when they are read.
UNSAFE = ("pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "torch")
#: The packages that parse what our loading paths read; NumPy's modules moved in its version 2.
NPY = ("numpy.lib.format", "numpy.lib._format_impl", "numpy.lib.npyio", "numpy.lib._npyio_impl")
PARSERS = ("safetensors", "yaml", "json", *NPY)
#: Where they mention an unsafe module, and why that is not reached.
KNOWN = {
    # read_array for arrays of objects, and np.load of a file that is neither NPY nor NPZ: both after allow_pickle was
    # looked at, which ours never allow; and arrays of objects are refused by their header before.
    **{name: {"pickle"} for name in NPY},
    # For callers who ask for PyTorch's tensors; we import safetensors.numpy only.
    "safetensors.torch": {"torch"},
}


def sources(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def imported_by(tree: ast.Module) -> set[str]:
    """The top-level modules that are imported anywhere in a file."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def called(node: ast.Call) -> str:
    """What a call calls, as it is written."""
    return ast.unparse(node.func)


def test_no_module_of_ours_imports_what_unpickles():
    assert {path.name: both for path, tree in sources(SOURCE) if (both := imported_by(tree) & {*UNSAFE})} == {}


def test_arrays_are_loaded_without_pickle_and_yaml_with_the_strict_loader():
    loads = []
    for path, tree in sources(SOURCE):
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            options = {option.arg: ast.unparse(option.value) for option in node.keywords}
            if called(node) in ("np.load", "numpy.load", "jnp.load"):
                loads.append(path.name)
                assert options.get("allow_pickle") == "False", path
            assert called(node) not in ("yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"), path
            assert called(node) not in ("eval", "exec", "compile", "__import__", "np.fromfile", "np.memmap"), path
    assert loads == ["payoffs.py"]


@pytest.mark.parametrize("name", PARSERS)
def test_what_parsers_mention_of_pickle_is_known(name):
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        assert name in NPY
        return
    origin = pathlib.Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    found = {}
    for file in files:
        mentioned = imported_by(ast.parse(file.read_text(encoding="utf-8"))) & {*UNSAFE}
        if mentioned:
            inner = "" if file == origin else "." + ".".join(file.relative_to(origin.parent).with_suffix("").parts)
            found[name + inner] = mentioned
    assert found.items() <= KNOWN.items()


def test_reading_every_kind_of_file_never_unpickles():
    """In a fresh process that stops where anything is unpickled: libraries may import pickle, not read with it."""
    program = f"""
import pathlib, pickle, tempfile
import numpy as np
import rpax
from rpax.environments.payoffs import read_payoffs
from rpax.objectives.files import load_objective
from rpax.policies.files import load_policy
from rpax.runs.checkpoint import list_checkpoints, read_arrays
from rpax.runs.directory import RunDirectory

def never(*arguments, **options):
    raise SystemExit("unpickled")

pickle.load = pickle.loads = pickle.Unpickler = never
for run in sorted(pathlib.Path({str(pathlib.Path(__file__).parent.parent / "data" / "runs")!r}).glob("schema-*/*")):
    assert rpax.load(run).update == 4
    assert all(read_arrays(path)[0] for path in list_checkpoints(run / "checkpoints"))
    assert all(load_policy(path)[1] for path in run.glob("policies/*/*.safetensors"))
    assert load_objective(run / "objective.yaml").bases and RunDirectory(run).read_config()
with tempfile.TemporaryDirectory() as folder:
    np.save(folder + "/x.npy", np.eye(2))
    assert read_payoffs(folder + "/x.npy").shape == (2, 2)
print("read")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.returncode) == ("read\n", 0), done.stderr[-2000:]
