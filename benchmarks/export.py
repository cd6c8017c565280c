"""How large an exported explorer is, and how long it takes: many small untrained agents on Overcooked.

    python benchmarks/export.py
    python benchmarks/export.py --agents 10 --out explorer.html

Untrained agents act almost uniformly at random, so that probabilities would hardly take any room. Therefore their last
layers are made larger, by which probabilities differ from step to step, as those of trained agents do, and actions stay
as random as they can be.
"""

import argparse
import json
import pathlib
import tempfile
import time
import zlib
from collections.abc import Sequence
from typing import Any

import rpax
from rpax.policies.files import save_policy
from rpax.runs.directory import RunDirectory
from rpax.runs.snapshots import policy_file
from rpax.web.book import Book, PlaySettings
from rpax.web.export import Exported, export

ENVIRONMENT = "overcooked/cramped_room"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=20, help="rows and columns of the grid (default 20)")
    parser.add_argument("--episodes", type=int, default=100, help="of each cell (default 100)")
    parser.add_argument("--factor", type=float, default=200.0, help="of the last layers (default 200)")
    parser.add_argument("--out", type=pathlib.Path, default=None, help="keep the file here")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        started = time.perf_counter()
        rpax.train(
            "sp",
            ENVIRONMENT,
            seeds=options.agents,
            out=run,
            updates=1,
            envs=2,
            steps=10,
            hidden_sizes=(16,),
            evaluation_episodes=2,
        )
        decide(run, options.factor)
        trained = time.perf_counter()
        book = Book([run], settings=PlaySettings(episodes=options.episodes), live=False)
        written = export(book, options.out or pathlib.Path(folder) / "explorer.html")
        print(json.dumps(report(book, written, trained - started, time.perf_counter() - trained), indent=1))


def decide(folder: pathlib.Path, factor: float) -> None:
    """Multiply the last layer of every agent of a run, so that it prefers some actions to others."""
    run = rpax.load(folder)
    for seed in run.config.seed_list:
        agent = run.agent("base_0", seed)
        network = agent.parameters["shared"]["params"]
        last = max(network)
        larger = {**network, last: {name: factor * array for name, array in network[last].items()}}
        file = policy_file(RunDirectory(folder), seed, "base_0")
        save_policy(file, agent.policy, {"shared": {"params": larger}}, agent="base_0")


def report(book: Book, written: Exported, training: float, exporting: float) -> dict[str, Any]:
    recordings = [
        len(zlib.compress(json.dumps(book.recording_now(0, 0, column, "median")["recording"]).encode(), 9))
        for column in range(min(4, len(book.grids[0].players)))
    ]
    return {
        "environment": ENVIRONMENT,
        "cells": book.grids[0].done,
        "recordings": written.recordings,
        "picks": written.picks,
        "bytes": written.size,
        "deflated_bytes_a_recording": round(sum(recordings) / len(recordings)),
        "training_seconds": round(training, 1),
        "export_seconds": round(exporting, 1),
    }


if __name__ == "__main__":
    main()
