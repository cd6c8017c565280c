"""From a key to the frame that shows what it did, in a real browser on the same machine, with two agents' policies.

Usage: python benchmarks/play_latency.py [MACHINE] [--presses N]
       (some minutes; writes benchmarks/results/MACHINE-play-latency.json. On a machine that does other work, too,
       `chrt -r 1` before it keeps that from getting in between; the result says so.)

Headless Chromium shows the page of `rpax play` on Overcooked, which runs in a process of its own: a person in one seat,
an agent in the other, and an adviser in the person's place, so that two policies are evaluated in every step. Keys come
at random moments, at least a window of 100 ms apart (a second key in one window waits for the next one by design). A
time begins with the browser's own time stamp of the key event and ends in the first animation frame after the new state
was drawn; a display at 60 Hz adds up to 17 ms to it by itself.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright
from run import commit_of_checkout

from rpax.benchmark.machine import machine

KEYS = ("ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Space")
#: Milliseconds between keys.
GAPS = (120, 400)
ENVIRONMENT = "overcooked/cramped_room"
_BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def make_run(folder: pathlib.Path) -> pathlib.Path:
    """Agents with the usual networks that have learned nothing."""
    settings = ["--updates", "1", "--envs", "2", "--steps", "10", "--set", "evaluation_episodes=2"]
    command = [sys.executable, "-m", "rpax", "train", "sp", ENVIRONMENT, *settings, "--out", str(folder), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def begin(page: Page) -> None:
    """Begin an episode, or the next one."""
    page.wait_for_selector("#overlay button.first", timeout=120_000)
    page.keyboard.press("Enter")
    page.wait_for_function("() => rpax.test.play.phase() === 'playing'", timeout=120_000)


def measure(url: str, presses: int) -> list[float]:
    """Milliseconds from each key to its frame."""
    chance = random.Random(0)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_BROWSER)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        begin(page)
        count = 0
        while count < presses:
            page.wait_for_timeout(chance.uniform(*GAPS))
            if page.evaluate("() => rpax.test.play.phase()") != "playing":
                begin(page)
                continue
            page.keyboard.press(chance.choice(KEYS))
            count += 1
        page.wait_for_timeout(1000)
        found = page.evaluate("() => rpax.test.play.latencies")
        browser.close()
    return found


def serve_and_measure(run: pathlib.Path, presses: int) -> list[float]:
    """Play in a browser with the agents of a run."""
    command = [sys.executable, "-m", "rpax", "play", str(run), "--advice", "base_0", "--no-browser", "--port", "0"]
    with subprocess.Popen(
        [*command, "--quiet", "--out", str(run / "plays")], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None, "it is piped"
        try:
            return measure(server.stdout.readline().strip(), presses)
        finally:
            server.terminate()


def scheduling() -> str:
    """How the system treats this process and those that it started."""
    real_time = getattr(os, "sched_getscheduler", lambda process: 0)(0) in (1, 2)
    return "real time (chrt)" if real_time else f"normal, nice {os.getpriority(os.PRIO_PROCESS, 0)}"


def summary(times: list[float]) -> dict[str, Any]:
    """Quantiles in milliseconds."""
    quantiles = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    return {name: round(float(np.percentile(times, percent)), 1) for name, percent in quantiles.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machine", nargs="?", default="2-core-epyc")
    parser.add_argument("--presses", type=int, default=600)
    options = parser.parse_args()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        times = serve_and_measure(make_run(pathlib.Path(folder) / "run"), options.presses)
    result = {
        "command": f"python benchmarks/play_latency.py {options.machine} --presses {options.presses}",
        "commit": commit_of_checkout(),
        "machine": machine(),
        "environment": ENVIRONMENT,
        "policies_per_step": 2,
        "presses": options.presses,
        "answered": len(times),
        "milliseconds": summary(times),
        "share_below_50_ms": round(float(np.mean(np.array(times) < 50)), 4),
        "load_average_before": [round(value, 2) for value in load],
        "load_average_after": [round(value, 2) for value in os.getloadavg()],
        "scheduling": scheduling(),
    }
    path = pathlib.Path(__file__).parent / "results" / f"{options.machine}-play-latency.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
