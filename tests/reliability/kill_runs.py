"""Kill runs with SIGKILL at random moments, resume them, and compare them with the run that was not, byte for byte.

    python tests/reliability/kill_runs.py --kills 25
    python tests/reliability/kill_runs.py --kills 100 --case storm --seed 1

Moments are drawn from the clock, over all that a start of the command takes, and from what is seen to happen: while a
checkpoint lies half written, between two lines of metrics, after the last checkpoint. A quarter of the starts find
nothing compiled and are killed while they compile.
"""

import argparse
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping

_SMALL = ["--envs", "2", "--steps", "3", "--hidden-sizes", "8", "--lookahead", "1", "--evaluation-episodes", "2"]
_OFTEN = ["--log-every", "1", "--checkpoint-minutes", "1e-9", "--quiet", "--json"]
#: name -> what `rpax train` is called with
CASES: dict[str, list[str]] = {
    "matrix": ["at-rpg", "matrix/figure-2", "--updates", "60", "--snapshots", "3"],
    "storm": ["ad-rpg", "storm", "--population", "2", "--updates", "20", "--option", "horizon=6"],
    "overcooked": [
        "ad-rpg",
        "overcooked/cramped_room",
        "--population",
        "2",
        "--updates",
        "20",
        "--option",
        "horizon=6",
    ],
    "gru": ["sp", "storm", "--network", "gru", "--memory-units", "4", "--updates", "30", "--option", "horizon=6"],
    "exact": ["at-rpg", "matrix/figure-2", "--exact", "--updates", "100"],
    "fcp": ["fcp", "matrix/figure-2", "--population", "2", "--updates", "20"],
    "comedi": ["comedi", "matrix/figure-2", "--population", "2", "--updates", "20"],
    "fixed": ["ap-rpg", "matrix/figure-2", "--victim", "[0.8, 0.2]", "--updates", "40"],
}
#: What is run unless cases are named.
ASKED = ("matrix", "storm", "overcooked", "gru")
#: The phases in which a kill can hit, in the order of a run.
PHASES = ("before the run directory", "importing", "compiling", "training", "saving", "evaluating and writing")
_PATIENCE = 900.0


@dataclasses.dataclass
class Tally:
    """What came of one case: kills by phase, starts, runs that were killed until they were finished."""

    kills: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    starts: int = 0
    runs: int = 0


def environment(cache: pathlib.Path) -> dict[str, str]:
    """Programs are compiled without optimisation, which takes less time, and kept in ``cache``."""
    return os.environ | {"RPAX_CACHE": str(cache), "JAX_NUM_CPU_DEVICES": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


def start(case: str, run: pathlib.Path, cache: pathlib.Path) -> subprocess.Popen[bytes]:
    """Begin the run, or resume it where there is one."""
    begin = ["train", *CASES[case], *_SMALL, *_OFTEN, "--out", str(run)]
    verb = ["resume", str(run), "--quiet", "--json"] if (run / "config.yaml").is_file() else begin
    command = [sys.executable, "-m", "rpax", *verb]
    return subprocess.Popen(command, env=environment(cache), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def outcome(run: pathlib.Path) -> dict[str, bytes]:
    """All that must be the same: each stage's last checkpoint, policies, metrics, configuration, results and so on."""
    found = {}
    for config in sorted(run.rglob("config.yaml")):
        folder = config.parent
        last = max((folder / "checkpoints").glob("update-*"), default=None)
        files = [config, folder / "metrics.jsonl", *sorted((folder / "policies").rglob("*.safetensors"))]
        files += [folder / "partners.jsonl", *sorted((folder / "fixed").glob("*.safetensors"))]
        files += [] if last is None else sorted(last.iterdir())
        found |= {str(file.relative_to(run)): file.read_bytes() for file in files if file.is_file()}
        results = json.loads((folder / "results.json").read_text()) | {"run_dir": None}
        found[str((folder / "results.json").relative_to(run))] = json.dumps(results).encode()
        found |= {str(plot.relative_to(run)): b"" for plot in (folder / "plots").glob("*.png")}
    return found


def differences(run: pathlib.Path, expected: Mapping[str, bytes]) -> list[str]:
    """The files that differ, or are there in one of the two only."""
    found = outcome(run)
    return sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))


class Watcher:
    """What a process that is about to start does to a run directory, as far as its files show it.

    Attributes:
        run: the run directory.
        pid: the process, once it runs.
    """

    def __init__(self, run: pathlib.Path) -> None:
        self.run, self.pid = run, 0
        self._before = self._sizes()

    def _sizes(self) -> dict[pathlib.Path, int]:
        with contextlib.suppress(FileNotFoundError):
            return {file: file.stat().st_size for file in self.run.rglob("metrics.jsonl")}
        return {}

    def saving(self) -> bool:
        """Whether a checkpoint lies half written."""
        with contextlib.suppress(FileNotFoundError):
            return any(True for _ in self.run.glob("**/checkpoints/.*.part"))
        return False

    def compiling(self) -> bool:
        """Whether it has the lock, which a run that goes on takes when JAX is there, and a checkpoint to begin with."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            owner = json.loads((self.run / "lock").read_text())["pid"]
            return owner == self.pid and any(self.run.glob("**/checkpoints/update-*"))
        return False

    def training(self) -> bool:
        """Whether this process has written a line of metrics."""
        return any(size > self._before.get(file, 0) for file, size in self._sizes().items())

    def evaluating(self) -> bool:
        """Whether the last line of metrics is written and its checkpoint saved."""
        config = self.run / "config.yaml"
        with contextlib.suppress(FileNotFoundError):
            updates = next(line for line in config.read_text().splitlines() if line.startswith("updates:"))
            return (self.run / "checkpoints" / f"update-{int(updates.split()[1]):09d}").is_dir()
        return False

    def phase(self) -> str:
        """Where the process is."""
        checks: dict[str, Callable[[], bool]] = {
            "saving": self.saving,
            "evaluating and writing": self.evaluating,
            "training": self.training,
            "compiling": self.compiling,
            "importing": (self.run / "config.yaml").exists,
        }
        return next((name for name, holds in checks.items() if holds()), "before the run directory")


def kill_somewhen(case: str, run: pathlib.Path, cache: pathlib.Path, seconds: float, chance: random.Random) -> str:
    """Start the run and kill it at a random moment.

    Args:
        case: which.
        run: its directory.
        cache: of compiled programs.
        seconds: what a whole start takes.
        chance: draws the moment.

    Returns:
        The phase it was killed in, or ``""`` if it was finished before.
    """
    moment = chance.choice(("clock", "clock", "compiling", "training", "saving", "evaluating"))
    with tempfile.TemporaryDirectory(prefix="cache-") as empty:
        watcher = Watcher(run)
        process = start(case, run, pathlib.Path(empty) if moment == "compiling" else cache)
        watcher.pid = process.pid
        began = time.monotonic()
        after = {"clock": lambda: True, "compiling": watcher.compiling, "saving": watcher.saving}
        wait_for = {**after, "training": watcher.training, "evaluating": watcher.evaluating}[moment]
        delay = {"clock": chance.uniform(0, seconds), "saving": chance.uniform(0, 0.01)}.get(moment)
        delay = chance.uniform(0, seconds / 8) if delay is None else delay
        while process.poll() is None and not wait_for():
            time.sleep(0.0005)
            assert time.monotonic() - began < _PATIENCE, f"{case}: {run} takes too long"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=delay)
        phase = watcher.phase()
        process.send_signal(signal.SIGKILL)
        _, complaint = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), f"{case}: exit {process.returncode}: {complaint.decode()}"
    return "" if process.returncode == 0 else phase


def kill_until_finished(
    case: str, folder: pathlib.Path, cache: pathlib.Path, kills: int, seed: int
) -> Iterator[tuple[Tally, str]]:
    """Kill runs of a case ``kills`` times, and let the last one finish; every finished run is compared.

    Yields:
        After each start the tally so far, and what happened.
    """
    began = time.monotonic()
    process = start(case, folder / "whole", cache)
    _, complaint = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0, complaint.decode()
    expected, seconds = outcome(folder / "whole"), time.monotonic() - began
    chance, tally, run = random.Random(seed), Tally(), folder / "run"
    while True:
        before = time.monotonic()
        tally.starts += 1
        if tally.kills.total() < kills:
            phase = kill_somewhen(case, run, cache, seconds, chance)
        else:
            _, complaint = (process := start(case, run, cache)).communicate(timeout=_PATIENCE)
            assert process.returncode == 0, f"{case}: exit {process.returncode}: {complaint.decode()}"
            phase = ""
        if phase:
            tally.kills[phase] += 1
            yield tally, f"killed: {phase}"
            continue
        # Programs are compiled by now.
        seconds = min(seconds, time.monotonic() - before)
        differing = differences(run, expected)
        assert not differing, f"{case}, seed {seed}: {run} differs from {folder / 'whole'} in {', '.join(differing)}"
        tally.runs += 1
        yield tally, "finished, the same"
        if tally.kills.total() >= kills:
            return
        shutil.rmtree(run)


def table(tallies: Mapping[str, Tally]) -> str:
    """Kills by phase, a line for each case."""
    heads = ("case", "kills", "starts", "finished and the same", *PHASES)
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for case, tally in tallies.items():
        counts = [tally.kills.total(), tally.starts, tally.runs, *(tally.kills[phase] for phase in PHASES)]
        lines.append(f"| {case} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25, help="of each case")
    parser.add_argument(
        "--case", choices=list(CASES), action="append", help=f"default: {', '.join(ASKED)}; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=pathlib.Path, help="where runs and programs lie (default: a temporary one)")
    arguments = parser.parse_args()
    folder = arguments.folder or pathlib.Path(tempfile.mkdtemp(prefix="kill-runs-"))
    tallies: dict[str, Tally] = {}
    try:
        for case in arguments.case or ASKED:
            of_case = folder / f"{case}-{arguments.seed}"
            of_case.mkdir(parents=True)
            for tally, event in kill_until_finished(case, of_case, folder / "cache", arguments.kills, arguments.seed):
                tallies[case] = tally
                print(
                    f"{case}: {tally.kills.total()} kills, {tally.starts} starts: {event}", file=sys.stderr, flush=True
                )
            shutil.rmtree(of_case)
    finally:
        print(table(tallies))


if __name__ == "__main__":
    main()
