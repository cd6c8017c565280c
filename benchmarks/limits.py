"""What the machine can do at best: the matrix products of an update alone, memory, and compiling one random draw.

Usage: python benchmarks/limits.py [MACHINE]      (a minute; writes benchmarks/results/MACHINE-limits.json)

The products have the shapes of a critic's first layer on STORM, with so many rows that a call costs little beside the
product: forward, and the gradient of the weights both as XLA gets it from autodiff (contracting the leading axis of
both factors) and with the observations transposed first. All cores work, each on its own rows, as with one device a
core. The bandwidth is that of copies too large for any cache, counting what is read and what is written.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
from run import commit_of_checkout

from rpax.benchmark.machine import machine

ROWS, ENTRIES, UNITS = 2048, 396, 64
REPETITIONS, CALLS = 7, 60
COPIED_BYTES = 2**28


def flops_per_second(function: Callable[..., Any], *arguments: jax.Array, threads: int) -> float:
    """The median over repetitions, with so many threads calling at once."""
    compiled = jax.jit(function).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))

    def call_often(_: int) -> None:
        for _ in range(CALLS):
            jax.block_until_ready(compiled(*arguments))

    speeds = []
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for _ in range(REPETITIONS):
            start = time.perf_counter()
            list(pool.map(call_often, range(threads)))
            speeds.append(2 * ROWS * ENTRIES * UNITS * CALLS * threads / (time.perf_counter() - start))
    return statistics.median(speeds)


def bytes_per_second(threads: int) -> float:
    """The median over repetitions, with so many threads copying at once, which numpy lets them."""
    pairs = [(np.ones(COPIED_BYTES, np.uint8), np.zeros(COPIED_BYTES, np.uint8)) for _ in range(threads)]
    speeds = []
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for _ in range(REPETITIONS):
            start = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))
            speeds.append(2 * COPIED_BYTES * threads / (time.perf_counter() - start))
    return statistics.median(speeds)


def seconds_to_compile(function: Callable[..., Any], *arguments: jax.Array) -> float:
    """The processor's, least of five."""
    times = []
    for _ in range(5):
        jax.clear_caches()
        lowered = jax.jit(function).lower(*arguments)
        start = time.process_time()
        lowered.compile()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machine", nargs="?", default="2-core-xeon")
    options = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)
    seen = jax.random.randint(jax.random.key(0), (ROWS, ENTRIES), 0, 2).astype(jnp.float32)
    weights = jax.random.normal(jax.random.key(1), (ENTRIES, UNITS))
    back = jax.random.normal(jax.random.key(2), (ROWS, UNITS))
    products = {
        "forward": (lambda x, w: x @ w, seen, weights),
        "gradient of weights": (lambda x, g: jax.lax.dot_general(x, g, (((0,), (0,)), ((), ()))), seen, back),
        "gradient of weights, observations transposed before": (lambda x, g: x @ g, seen.T.copy(), back),
    }
    cores = os.cpu_count() or 1
    about = {"command": f"python benchmarks/limits.py {options.machine}", "commit": commit_of_checkout()}
    found: dict[str, Any] = {**about, **machine()}
    for threads in sorted({1, cores}):
        found[f"GFLOP/s, {threads} cores"] = {
            name: round(flops_per_second(function, *arguments, threads=threads) / 1e9, 1)
            for name, (function, *arguments) in products.items()
        }
        found[f"GB/s, {threads} cores"] = round(bytes_per_second(threads) / 1e9, 1)
    key = jax.random.key_data(jax.random.key(0))
    found["seconds to compile"] = {
        "jax.random.split": round(seconds_to_compile(lambda k: jax.random.split(k, 1000), key), 2),
        "jax.random.uniform": round(seconds_to_compile(lambda k: jax.random.uniform(k, (1000,)), key), 2),
        "x + 1": round(seconds_to_compile(lambda k: k + 1, key), 2),
    }
    print(json.dumps(found, indent=1))
    path = pathlib.Path(__file__).parent / "results" / f"{options.machine}-limits.json"
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
