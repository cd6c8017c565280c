"""Time writing and checking checkpoints and write ``benchmarks/results/<machine>-checkpoints.json``.

Usage: python benchmarks/checkpoints.py MACHINE [--megabytes 100] [--folder FOLDER]

Written means synchronised with the disk and renamed, checked means read back with all checksums and laid out as a
state. Medians of seven, after one that does not count. The same for the states of runs with default settings, and which
share of the default interval between two checkpoints that takes.
"""

import argparse
import json
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from run import FOLDER, commit_of_checkout

REPETITIONS = 7
#: Runs with default settings.
RUNS = (
    ("at-rpg", "matrix/figure-2", {"exact": True}),
    ("ad-rpg", "storm", {}),
    ("ad-rpg", "overcooked/cramped_room", {}),
    ("ad-rpg", "overcooked/cramped_room", {"network": "gru"}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machine", help="a short name for this machine, like 2-core-xeon")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--folder", type=pathlib.Path, help="where to write; a temporary folder by default")
    options = parser.parse_args()

    from rpax.benchmark.machine import machine
    from rpax.runs.config import TrainConfig

    interval = 60 * TrainConfig("-", "-").checkpoint_minutes
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        large = time_checkpoints(pathlib.Path(folder), state_of(options.megabytes * 10**6))
        runs = []
        for algorithm, environment, settings in RUNS:
            state = state_of_run(algorithm, environment, settings)
            timed = time_checkpoints(pathlib.Path(folder), state)
            share = timed["seconds_to_write"] / interval
            about = {"algorithm": algorithm, "environment": environment, **settings}
            runs.append({**about, **timed, "share_of_default_interval": float(f"{share:.2g}")})
            print(runs[-1], flush=True)
    found = {
        "command": f"python benchmarks/checkpoints.py {options.machine}",
        "commit": commit_of_checkout(),
        "machine": machine(),
        "load_average": os.getloadavg()[0],
        "default_interval_seconds": interval,
        "large": large,
        "runs": runs,
    }
    path = pathlib.Path(FOLDER) / f"{options.machine}-checkpoints.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def state_of(size: int) -> Any:
    """A state of so many bytes, in twenty arrays."""
    import numpy as np

    from rpax.training.problem import TrainState

    draw = np.random.default_rng(0)
    layers = {f"layer_{i}": draw.random(size // 80, dtype=np.float32) for i in range(20)}
    empty: dict[str, Any] = dict.fromkeys(TrainState._fields)
    return TrainState(**{**empty, "base": {"agent": layers}})


def state_of_run(algorithm: str, environment: str, settings: dict[str, Any]) -> Any:
    """Arrays like those of a run with default settings, without training it."""
    import jax
    import numpy as np

    from rpax.runs.config import TrainConfig
    from rpax.runs.prepare import prepare
    from rpax.runs.session import make_environment, make_trainer
    from rpax.training.setup import make_problem

    config, objective = prepare(TrainConfig(algorithm, environment, **settings))
    problem = make_problem(config, objective, make_environment(config), {}, {})
    shape = make_trainer(config, problem, keep_traced=False).state_shape()
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shape)


def time_checkpoints(folder: pathlib.Path, state: Any) -> dict[str, Any]:
    """Medians, and how many bytes it is."""
    from rpax.runs.checkpoint import load_checkpoint, save_checkpoint

    writing, checking, processor, size = [], [], [], 0
    for update in range(REPETITIONS + 1):
        start = time.process_time()
        writing.append(seconds(lambda update=update: save_checkpoint(folder, state, update)))
        path = folder / f"update-{update:09d}"
        checking.append(seconds(lambda path=path: load_checkpoint(path, state)))
        processor.append(time.process_time() - start)
        size = sum(file.stat().st_size for file in path.iterdir())
    for path in folder.iterdir():
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    return {
        "bytes": size,
        "seconds_to_write": round(statistics.median(writing[1:]), 4),
        "seconds_to_check": round(statistics.median(checking[1:]), 4),
        "seconds_together": round(statistics.median(map(sum, zip(writing[1:], checking[1:], strict=True))), 4),
        "seconds_of_the_processor": round(statistics.median(processor[1:]), 4),
    }


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
