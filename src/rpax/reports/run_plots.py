"""The pictures a run leaves behind: learning curves per pairing, and in matrix games the policies over time."""

import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from rpax.environments.protocol import Environment
from rpax.reports.curves import draw_learning_curves, draw_policies_over_time

if TYPE_CHECKING:
    from rpax.runs.run import Run


def draw_run_plots(run: "Run", environment: Environment, folder: pathlib.Path) -> list[pathlib.Path]:
    """Write ``learning-curves.png`` and, in normal-form games, ``policies.png``.

    Returns:
        The files written; none for a run without metrics.
    """
    rows = run.metrics()
    updates = sorted({row["update"] for row in rows})
    if not updates:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    by_seed = [[row for row in rows if row["seed"] == seed] for seed in run.config.seed_list]
    title = f"{run.objective.name} on {run.config.environment}"
    written = [folder / "learning-curves.png"]
    curves = _return_curves(by_seed)
    draw_learning_curves(written[0], np.array(updates), curves, title=title, y_label="return of seat 0")
    if "policies" in rows[0]:
        written.append(folder / "policies.png")
        policies, names = _policy_curves(by_seed, environment)
        draw_policies_over_time(written[1], np.array(updates), policies, names, title=title)
    return written


def _return_curves(by_seed: list[list[dict[str, Any]]]) -> dict[str, np.ndarray]:
    """Pairing to seat 0's return, [seeds, rows]."""
    first = by_seed[0][0]
    if "returns" in first:
        groups = ["returns"]
    else:
        groups = [name for name in first if name.endswith("_episode_return")]
    curves = {}
    for group in groups:
        for pairing in first[group]:
            label = pairing if group == "returns" else f"{pairing} ({group.removesuffix('_episode_return')})"
            values = [[(row[group][pairing] or [np.nan])[0] for row in rows] for rows in by_seed]
            curves[label] = np.array(values, dtype=float)
    return curves


def _policy_curves(
    by_seed: list[list[dict[str, Any]]], environment: Environment
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Agent and seat to action probabilities, [seeds, rows, actions], and the actions' names."""
    policies, names = {}, {}
    for agent, by_seat in by_seed[0][0]["policies"].items():
        for seat in by_seat:
            label = f"{agent}, seat {seat}"
            policies[label] = np.array([[row["policies"][agent][seat] for row in rows] for rows in by_seed])
            space = environment.spaces[int(seat)]
            names[label] = [space.name_of(action) for action in range(space.num_actions)]
    return policies, names
