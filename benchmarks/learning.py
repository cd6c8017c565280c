"""Train deep environments and write what was reached when: docs/results/learning-<case>.json.

Usage: python benchmarks/learning.py CASE… [--seed N …]   (--help names the cases)
       python benchmarks/learning.py --draw               (draws docs/images/learning.png from what was written)

Settings are the `fast` preset's but for those that a case names. Each seed trains alone, on one core, one after the
other; a seed that is run again replaces its result, and results of other settings are dropped. A point of a curve is
the mean of fresh episodes from the usual start. Time counts from the end of the first update, so compilation is not in
it; it is reported apart, and evaluation is not in it either. The time that is drawn is the processor's: what one core
with nothing else to do would have needed, on however busy a machine.
"""

import argparse
import gc
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from run import commit_of_checkout

if TYPE_CHECKING:  # JAX must not start before main has chosen a core
    from rpax.evaluation.returns import SampledReturns
    from rpax.objectives.plan import Pairing
    from rpax.runs.loop import Loop

DOCS = pathlib.Path(__file__).parents[1] / "docs"
MOST_POINTS = 60
EPISODES_OF_A_POINT = 128
#: Case → algorithm, environment, settings besides the preset's, how many seeds.
CASES: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "sp-cramped_room": ("sp", "overcooked/cramped_room", {"updates": 1200}, 5),
    "sp-coord_ring": ("sp", "overcooked/coord_ring", {"updates": 1200}, 5),
    "sp-counter_circuit": ("sp", "overcooked/counter_circuit", {"updates": 1200}, 5),
    "sp-forced_coord": ("sp", "overcooked/forced_coord", {"updates": 1200}, 5),
    "sp-storm": ("sp", "storm", {"updates": 1500}, 5),
    "sp-hanabi": ("sp", "hanabi/3x3", {"updates": 800}, 3),
    "ad-rpg-cramped_room": ("ad-rpg", "overcooked/cramped_room", {"updates": 800}, 3),
    "ad-rpg-storm": ("ad-rpg", "storm", {"updates": 2000}, 5),
    "ad-rpg-storm-longer": ("ad-rpg", "storm", {"updates": 3000}, 5),
    "ad-rpg-storm-tanh": ("ad-rpg", "storm", {"activation": "tanh", "updates": 2000}, 5),
    "ad-rpg-storm-hour": ("ad-rpg", "storm", {"updates": 10000}, 1),
    "ad-rpg-storm-hour-tanh": ("ad-rpg", "storm", {"activation": "tanh", "updates": 5000}, 1),
    "ad-rpg-storm-fast-bases": (
        "ad-rpg",
        "storm",
        {"activation": "tanh", "base_rate": 3e-4, "crossplay_weight": 0.25, "sampling": "uniform", "updates": 2000},
        5,
    ),
}


def train_seed(algorithm: str, environment: str, settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """One seed's curve: seconds, updates, and the mean return of fresh episodes of each kind of pairing."""
    import jax
    import numpy as np

    from rpax.evaluation.returns import make_sampler
    from rpax.runs.compilation_cache import use_compilation_cache
    from rpax.runs.config import TrainConfig, config_to_dict
    from rpax.runs.loop import Loop
    from rpax.runs.prepare import prepare
    from rpax.runs.session import make_environment, make_trainer
    from rpax.training.problem import key_data
    from rpax.training.setup import make_problem
    from rpax.training.trainer import one_seed

    started = time.perf_counter()
    use_compilation_cache()
    config, objective = prepare(TrainConfig(algorithm, environment, seed=seed, **settings))
    updates = config.updates
    assert updates is not None, "complete configurations say how many"
    problem = make_problem(config, objective, make_environment(config))
    trainer = make_trainer(config, problem)
    loop = Loop(trainer, trainer.init(), 0, until=1, log_every=1, sinks=())
    train_on(loop)
    first = time.perf_counter() - started
    seconds = processor = 0.0
    curve: list[dict[str, Any]] = []

    def evaluate(episodes: int, sample: "Callable[..., SampledReturns]") -> "dict[Pairing, list[float]]":
        """Mean return of seat 0 and half the width of its interval."""
        parameters = one_seed({**loop.state.base, **loop.state.manipulators}, 0)
        key = jax.random.fold_in(jax.random.fold_in(key_data(seed), loop.update), episodes)
        played = sample(parameters, key)
        both = np.stack([played.mean[:, 0], played.half_width[:, 0]], axis=1).tolist()
        return dict(zip(problem.plan.all_pairings, both, strict=True))

    sample = make_sampler(problem, EPISODES_OF_A_POINT)
    loop.log_every = -(-updates // MOST_POINTS)
    while loop.update < updates:
        # A line of metrics is written, and its mean begins anew, at every multiple.
        loop.until = min(updates, (loop.update // loop.log_every + 1) * loop.log_every)
        start, start_processor = time.perf_counter(), time.process_time()
        train_on(loop)
        seconds += time.perf_counter() - start
        processor += time.process_time() - start_processor
        row = loop.history.rows[-1]
        influence = {"influence": list(row["influence"].values())} if row["influence"] else {}
        returns = kinds_of_pairings(evaluate(EPISODES_OF_A_POINT, sample))
        spent = {"seconds": round(seconds, 1), "cpu_seconds": round(processor, 1)}
        numbers = {**returns, **influence, "entropy": list(row["entropy"].values())}
        curve.append({**spent, "update": loop.update, **rounded(numbers)})
        print(seed, curve[-1], file=sys.stderr, flush=True)
    episodes = config.evaluation_episodes
    final = {" vs ".join(pairing): of for pairing, of in evaluate(episodes, make_sampler(problem, episodes)).items()}
    about = {"config": config_to_dict(config), "seconds_to_first_update": round(first, 1)}
    return {**about, "final": rounded(final), "curve": curve}


def train_on(loop: "Loop") -> None:
    """Up to ``loop.until``; a signal ends the program."""
    if loop.run() == "interrupted":
        raise KeyboardInterrupt


def rounded(numbers: Any) -> Any:
    """Three decimals are enough to look at."""
    if isinstance(numbers, dict):
        return {key: rounded(value) for key, value in numbers.items()}
    return [round(value, 3) for value in numbers] if isinstance(numbers, list) else round(numbers, 3)


def kinds_of_pairings(returns: "Mapping[Pairing, list[float]]") -> dict[str, float]:
    """Means of seat 0's return over self-play, cross-play of base agents, and base agents with manipulators."""
    found: dict[str, list[float]] = {}
    for names, (mean, _) in returns.items():
        manipulated = any(name.startswith("manipulator") for name in names)
        kind = "manipulator" if manipulated else "self-play" if names[0] == names[1] else "cross-play"
        found.setdefault(kind, []).append(mean)
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


def effective(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a complete configuration, also of an earlier version's, makes a run what it is, but for its seed."""
    from rpax.objectives.catalogue import ALGORITHMS
    from rpax.runs.prepare import ALGORITHM_OPTIONS

    taken = ALGORITHMS[config["algorithm"]].options if config else ()
    unused = {"seed", *(option for option in ALGORITHM_OPTIONS if option not in taken)}
    unused |= set() if config.get("entropy_updates") else {"entropy_start"}
    return {name: value for name, value in config.items() if name not in unused}


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
    from rpax.benchmark.machine import machine

    for name in options.cases:
        if name not in CASES:
            parser.error(f"there is no case {name}; give some of {', '.join(CASES)}")
        algorithm, environment, settings, seeds = CASES[name]
        about = {
            "command": f"python benchmarks/learning.py {name}",
            "algorithm": algorithm,
            "environment": environment,
            "settings": settings,
            "machine": f"one core of {os.cpu_count()}",
        }
        for seed in options.seed or range(seeds):
            found = {"seed": seed, "commit": commit_of_checkout(), "machine": machine()["processor"]}
            found |= train_seed(algorithm, environment, settings, seed)
            file = DOCS / "results" / f"learning-{name}.json"
            before = json.loads(file.read_text())["seeds"] if file.exists() else []
            same = [one for one in before if effective(one.get("config", {})) == effective(found["config"])]
            everyone = [found, *(one for one in same if one["seed"] != seed)]
            about["seeds"] = sorted(everyone, key=lambda one: one["seed"])
            file.write_text(json.dumps(about) + "\n")
    if options.draw:
        draw(DOCS / "images" / "learning.png")


if __name__ == "__main__":
    main()
