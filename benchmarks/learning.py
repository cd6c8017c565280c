"""Train deep environments with the `fast` preset and write what was reached when: docs/results/learning-<case>.json.

Usage: python benchmarks/learning.py CASE… [--seed N …]   (--help names the cases)
       python benchmarks/learning.py --draw               (draws docs/images/learning.png from what was written)

Each seed trains alone, on one core, one after the other; a seed that is run again replaces its result. Time counts from
the end of the first chunk of updates, so compilation is not in it; it is reported apart. The time that is drawn is the
processor's: what one core with nothing else to do would have needed, on however busy a machine.
"""

import argparse
import gc
import json
import os
import pathlib
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

DOCS = pathlib.Path(__file__).parents[1] / "docs"
MOST_POINTS = 100
#: Case → algorithm, environment, settings besides the preset's, how many seeds.
CASES: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "sp-cramped_room": ("sp", "overcooked/cramped_room", {"updates": 800}, 5),
    "sp-coord_ring": ("sp", "overcooked/coord_ring", {"updates": 1000}, 5),
    "sp-counter_circuit": (
        "sp",
        "overcooked/counter_circuit",
        {"hidden_sizes": (128, 128), "activation": "relu", "updates": 1000},
        3,
    ),
    "sp-forced_coord": ("sp", "overcooked/forced_coord", {}, 3),
    "sp-storm": ("sp", "storm", {"updates": 1500}, 5),
    "sp-hanabi": ("sp", "hanabi/3x3", {"updates": 800}, 3),
    "ad-rpg-cramped_room": ("ad-rpg", "overcooked/cramped_room", {"updates": 500}, 3),
    "ad-rpg-storm": ("ad-rpg", "storm", {"updates": 2000}, 5),
    "ad-rpg-storm-hour": ("ad-rpg", "storm", {"updates": 5000}, 1),
    "ad-rpg-storm-fast-bases": (
        "ad-rpg",
        "storm",
        {"base_rate": 3e-4, "crossplay_weight": 0.25, "sampling": "uniform", "updates": 2000},
        5,
    ),
}


def train_seed(algorithm: str, environment: str, settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """One seed's curve: seconds, updates, and the mean return of finished episodes of each kind of pairing."""
    import rpax

    started = time.perf_counter()
    first: list[float] = []
    curve: list[dict[str, Any]] = []

    def progress(done: int, updates: int, rows: Sequence[Any]) -> None:
        now, processor = time.perf_counter(), time.process_time()
        if not first:
            first.extend((now, processor))
        for row in rows:
            returns = kinds_of_pairings(row["lookahead_episode_return"])
            influence = {"influence": list(row["influence"].values())} if row["influence"] else {}
            numbers = {**returns, **influence, "entropy": list(row["entropy"].values())}
            spent = {"seconds": round(now - first[0], 1), "cpu_seconds": round(processor - first[1], 1)}
            curve.append({**spent, "update": row["update"], **rounded(numbers)})
            print(seed, curve[-1], file=sys.stderr, flush=True)

    run = rpax.train(algorithm, environment, seed=seed, progress=progress, **settings)
    final = {f"{p.seat_0} vs {p.seat_1}": [p.returns[0], p.half_width[0]] for p in run.results[0].pairings}
    curve = curve[:: max(1, len(curve) // MOST_POINTS)]
    start = round(first[0] - started, 1)
    return {"seconds_to_first_chunk": start, "final": rounded(final), "curve": curve}


def rounded(numbers: Any) -> Any:
    """Three decimals are enough to look at."""
    if isinstance(numbers, dict):
        return {key: rounded(value) for key, value in numbers.items()}
    return [round(value, 3) for value in numbers] if isinstance(numbers, list) else round(numbers, 3)


def kinds_of_pairings(returns: Mapping[str, list[float] | None]) -> dict[str, float]:
    """Means of seat 0's return over self-play, cross-play of base agents, and base agents with manipulators."""
    found: dict[str, list[float]] = {}
    for pairing, finished in returns.items():
        if finished is None:  # no episode ended in this update
            continue
        names = pairing.split(" vs ")
        manipulated = any(name.startswith("manipulator") for name in names)
        kind = "manipulator" if manipulated else "self-play" if names[0] == names[1] else "cross-play"
        found.setdefault(kind, []).append(finished[0])
    return {kind: sum(values) / len(values) for kind, values in found.items()}


def draw(path: pathlib.Path) -> None:
    """One panel a case: every seed's curves over seconds, by kind of pairing."""
    from rpax.reports.figure_style import PALETTE, figure_style, new_figure, save_figure, tidy_axes

    files = sorted((DOCS / "results").glob("learning-*.json"))
    found = {file.stem.removeprefix("learning-"): json.loads(file.read_text()) for file in files}
    colours = dict(zip(("self-play", "cross-play", "manipulator"), PALETTE, strict=False))
    with figure_style():
        rows = -(-len(found) // 2)
        figure = new_figure(10.0, 3.2 * rows)
        figure.subplots_adjust(hspace=0.5, wspace=0.25, left=0.08, right=0.98, top=0.95, bottom=0.09)
        for number, (name, case) in enumerate(found.items()):
            axes = figure.add_subplot(rows, 2, number + 1)
            for seed in case["seeds"]:
                for kind, colour in colours.items():
                    points = [(row["cpu_seconds"], row[kind]) for row in seed["curve"] if kind in row]
                    if points:
                        label = kind if seed is case["seeds"][0] else None
                        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.2, label=label)
            axes.set_title(name)
            axes.set_xlabel("seconds of one core")
            axes.set_ylabel("return")
            axes.legend(frameon=False)
            tidy_axes(axes)
        save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=", ".join(CASES))
    parser.add_argument("--seed", type=int, nargs="+", help="instead of all seeds of the case")
    parser.add_argument("--core", type=int, help="which core to train on")
    parser.add_argument("--draw", action="store_true")
    options = parser.parse_args()
    os.environ["JAX_NUM_CPU_DEVICES"] = "1"
    if hasattr(os, "sched_setaffinity"):  # before JAX starts its threads; not on macOS
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0)) if options.core is None else options.core})
    gc.set_threshold(50_000, 20, 100)
    for name in options.cases:
        if name not in CASES:
            parser.error(f"there is no case {name}; give some of {', '.join(CASES)}")
        algorithm, environment, settings, seeds = CASES[name]
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=DOCS)
        about = {
            "command": f"python benchmarks/learning.py {name}",
            "algorithm": algorithm,
            "environment": environment,
            "settings": settings,
            "machine": f"one core of {os.cpu_count()}, {platform.machine()}",
        }
        for seed in options.seed or range(seeds):
            found = {"seed": seed, "commit": commit.stdout.strip()}
            found |= train_seed(algorithm, environment, settings, seed)
            file = DOCS / "results" / f"learning-{name}.json"
            before = json.loads(file.read_text())["seeds"] if file.exists() else []
            everyone = [found, *(other for other in before if other["seed"] != seed)]
            about["seeds"] = sorted(everyone, key=lambda one: one["seed"])
            file.write_text(json.dumps(about) + "\n")
    if options.draw:
        draw(DOCS / "images" / "learning.png")


if __name__ == "__main__":
    main()
