"""Run the benchmark suite and write ``benchmarks/results/<machine>.json``.

Usage: python benchmarks/run.py MACHINE [--repetitions N]
"""

import argparse
import json
import pathlib
import subprocess
import sys

SUITE = {
    "closed form vs autodiff": (
        "at-rpg matrix/figure-2 --lookahead 1 2 4 --envs 128 4096 --manipulator-gradient both --steps 1"
    ),
    "closed form vs autodiff, chunks of 8 steps": (
        "at-rpg extensive/g1 --lookahead 1 2 4 --envs 128 --manipulator-gradient both --steps 8"
    ),
    "tabular policies": "at-rpg matrix/figure-2 --network tabular --lookahead 1 2 4 --envs 128 4096",
    "exact gradients": "at-rpg matrix/figure-2 --network tabular --exact --lookahead 1 2 4",
    "diversity": "ad-rpg matrix/figure-13 --envs 128",
}
FOLDER = pathlib.Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("machine", help="a short name for this machine, like 2-core-xeon")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    results = {}
    for title, arguments in SUITE.items():
        rest = [*arguments.split(), "--json", "--repetitions", str(options.repetitions)]
        print(f"{title}: rpax bench {arguments}", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, "-m", "rpax", "bench", *rest], stdout=subprocess.PIPE, check=True, text=True
        )
        results[title] = {"command": f"rpax bench {arguments}", **json.loads(done.stdout)}
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{options.machine}.json"
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(f"written to {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
