"""Run the benchmark suite and write ``benchmarks/results/<machine>.json``.

Usage: python benchmarks/run.py MACHINE [CASE …] [--repetitions N] [--brief]

Cases that are measured again replace their results, the others keep theirs.
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
    "Overcooked": "ad-rpg overcooked/coord_ring --envs 16 64",
    "Overcooked, compilation": "ad-rpg overcooked/coord_ring --envs 16 --compilations 5",
    "Overcooked, 512 environments": "ad-rpg overcooked/coord_ring --envs 512",
    "Overcooked, self-play": "sp overcooked/coord_ring --envs 64 768",
    "STORM": "ad-rpg storm --envs 64 256",
    "STORM, self-play": "sp storm --envs 256 3072",
    "Hanabi": "ad-rpg hanabi/3x3 --envs 16 --hidden-sizes 512 512",
    "growth, environments": "ad-rpg overcooked/coord_ring --envs 8 32 128",
    "growth, lookahead": "ad-rpg overcooked/coord_ring --envs 16 --lookahead 1 2 4",
    **{
        f"growth, population {size}": f"ad-rpg overcooked/coord_ring --envs 16 --population {size}"
        for size in (2, 3, 4)
    },
    **{
        f"growth, layers of {size}": f"ad-rpg overcooked/coord_ring --envs 16 --hidden-sizes {size} {size}"
        for size in (32, 128, 256)
    },
}
FOLDER = pathlib.Path(__file__).parent / "results"


def commit_of_checkout() -> str:
    """The commit that is measured, ``-dirty`` if code was changed since."""

    def of_git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], stdout=subprocess.PIPE, text=True, cwd=FOLDER.parent.parent)
        return done.stdout.strip()

    changed = of_git("status", "--porcelain", "--", "src", "benchmarks/*.py")
    return of_git("describe", "--always") + ("-dirty" if changed else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machine", help="a short name for this machine, like 2-core-xeon")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"instead of all: {'; '.join(SUITE)}")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--brief", action="store_true", help="compilation and updates only, as in `rpax bench --brief`")
    options = parser.parse_args()
    path = FOLDER / f"{options.machine}.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for title in options.cases or SUITE:
        if title not in SUITE:
            parser.error(f"there is no case '{title}'; give some of: {'; '.join(SUITE)}")
        arguments = SUITE[title]
        rest = [*arguments.split(), "--json", "--repetitions", str(options.repetitions), *["--brief"] * options.brief]
        print(f"{title}: rpax bench {arguments}", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, "-m", "rpax", "bench", *rest], stdout=subprocess.PIPE, check=True, text=True
        )
        about = {"command": f"rpax bench {arguments}", "commit": commit_of_checkout()}
        results[title] = {**about, **json.loads(done.stdout)}
        FOLDER.mkdir(exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(f"written to {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
