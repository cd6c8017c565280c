"""Time a cross-play of many agents and write ``benchmarks/results/<machine>-cross-play.json``.

Usage: python benchmarks/cross_play.py MACHINE [--agents 20] [--episodes 1000] [--environment overcooked/cramped_room]

Agents have fresh parameters of the preset's network: how long an episode takes does not depend on who plays it. A
compilation is a program that took a second or more to compile.
"""

import argparse
import json
import os
import pathlib
import tempfile
import time

from run import FOLDER, commit_of_checkout

_EVENT, _A_COMPILATION = "/jax/core/compile/backend_compile_duration", 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machine", help="a short name for this machine, like 2-core-xeon")
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--environment", default="overcooked/cramped_room")
    options = parser.parse_args()
    os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(os.cpu_count()))
    import jax

    import rpax
    from rpax.benchmark.machine import machine, peak_memory_bytes
    from rpax.policies.agent import make_agent_policy
    from rpax.policies.networks import MLP
    from rpax.runs.agent import Agent

    game = rpax.make(options.environment)
    policy = make_agent_policy(game.spaces, (0, 1), shared=True, make_network=lambda n: MLP(n, activation="relu"))
    keys = jax.random.split(jax.random.key(0), options.agents)
    agents = [Agent(f"agent-{i}", policy, jax.device_get(policy.init(key))) for i, key in enumerate(keys)]
    compilations: list[float] = []

    def note(event: str, duration_secs: float, **about: object) -> None:
        if event == _EVENT and duration_secs >= _A_COMPILATION:
            compilations.append(round(duration_secs, 1))

    jax.monitoring.register_event_duration_secs_listener(note)
    os.environ["RPAX_CACHE"] = "off"
    start = time.perf_counter()
    first: list[float] = []
    with tempfile.TemporaryDirectory() as folder:

        def progress(done: int, total: int) -> None:
            if not first:
                first.append(time.perf_counter() - start)
            if done % options.agents == 0:
                print(f"{done} of {total} cells after {time.perf_counter() - start:.0f} s", flush=True)

        rpax.cross_play(agents, episodes=options.episodes, environment=game, out=f"{folder}/cells", progress=progress)
    found = {
        "command": f"python benchmarks/cross_play.py {options.machine}",
        "commit": commit_of_checkout(),
        "machine": machine(),
        "environment": options.environment,
        "agents": options.agents,
        "cells": options.agents**2,
        "episodes": options.episodes,
        "steps": game.horizon,
        "seconds": round(time.perf_counter() - start, 1),
        "seconds_to_first_cell": round(first[0], 1),
        "compilations": compilations,
        "peak_memory_bytes": peak_memory_bytes(),
    }
    path = pathlib.Path(FOLDER) / f"{options.machine}-cross-play.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
