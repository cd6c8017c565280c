"""The report of some runs: one Markdown file and its pictures."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rpax.errors import InputError
from rpax.reports import run_plots
from rpax.reports.cross_play_report import heatmap_of
from rpax.reports.cross_play_tables import markdown_table, metric_table
from rpax.reports.heatmap import draw_heatmap, short_number
from rpax.runs.writing import write_text, writing_out
from rpax.untrusted import read_json

if TYPE_CHECKING:
    from rpax.evaluation.cross_play_result import CrossPlay
    from rpax.evaluation.results import PairingResult, SeedResult
    from rpax.runs.run import Run

#: Settings in which runs differ without being different.
_NOT_COMPARED = ("seed", "seeds", "minutes", "log_every", "checkpoint_minutes", "checkpoints_kept", "sinks")
_NOTHING = "–"


@dataclasses.dataclass(frozen=True)
class Section:
    """A headed part of the report.

    Attributes:
        title: its heading.
        text: Markdown.
    """

    title: str
    text: str


def write_report(
    runs: Sequence["Run"], folder: pathlib.Path, cross_plays: Sequence["CrossPlay"] = ()
) -> list[pathlib.Path]:
    """Write ``report.md`` and its pictures into ``folder``.

    Args:
        runs: those with a directory.
        folder: is made where it is missing.
        cross_plays: of the runs, one for each environment.

    Raises:
        InputError: the folder cannot be written.
    """
    with writing_out(folder, f"folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        names = run_names(runs)
        pictures, curves = _draw_curves(runs, names, folder)
        sections = [Section("Runs", _overview(runs, names)), Section("Settings that differ", _differences(runs, names))]
        sections += [Section("Learning curves", curves), Section("Returns", _returns(runs, names))]
        for number, result in enumerate(cross_plays):
            picture = folder / ("heatmap.png" if len(cross_plays) == 1 else f"heatmap-{number}.png")
            draw_heatmap(heatmap_of(result), picture)
            pictures.append(picture)
            sections.append(Section(f"Cross-play in {result.environment}", _cross_play(result, picture)))
        sections += [Section("Attacks", _attacks(runs, names)), Section("Rationality gaps", _gaps(runs, names))]
        sections.append(Section("Diagnoses", _diagnoses(runs, names)))
        report = folder / "report.md"
        parts = [f"## {section.title}\n\n{section.text}" for section in sections if section.text]
        write_text(report, "\n\n".join(["# Report", *parts]) + "\n")
    return [report, *pictures]


def run_names(runs: Sequence["Run"]) -> list[str]:
    """What each run is called: its directory's name, with a number where two have the same."""
    found: list[str] = []
    for run in runs:
        name = "in memory" if run.path is None else run.path.resolve().name
        taken = sum(other == name or other.startswith(f"{name} (") for other in found)
        found.append(f"{name} ({taken + 1})" if taken else name)
    return found


def _overview(runs: Sequence["Run"], names: Sequence[str]) -> str:
    lines = [
        [name, run.objective.name, run.config.environment, _seeds(run), f"{run.status}, update {run.update}"]
        for name, run in zip(names, runs, strict=True)
    ]
    return markdown_table(["run", "algorithm", "environment", "seeds", "status"], lines, texts=5)


def _seeds(run: "Run") -> str:
    seeds = run.config.seed_list
    return ", ".join(map(str, seeds)) if len(seeds) <= 8 else f"{seeds[0]} … {seeds[-1]} ({len(seeds)})"


def _differences(runs: Sequence["Run"], names: Sequence[str]) -> str:
    """A line for each setting in which the runs differ."""
    from rpax.runs.config import config_to_dict

    configs = [config_to_dict(run.config) for run in runs]
    differing = [
        name for name in configs[0] if name not in _NOT_COMPARED and any(c[name] != configs[0][name] for c in configs)
    ]
    if not differing:
        return "None." if len(runs) > 1 else ""
    lines = [[f"`{name}`", *(_shown(config[name]) for config in configs)] for name in differing]
    return markdown_table(["setting", *names], lines)


def _shown(value: Any) -> str:
    text = _NOTHING if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"


def _draw_curves(runs: Sequence["Run"], names: Sequence[str], folder: pathlib.Path) -> tuple[list[pathlib.Path], str]:
    """Each run's curves with bands over seeds, and the Markdown that shows them."""
    from rpax.runs.session import make_environment

    written: list[pathlib.Path] = []
    shown = []
    for number, (name, run) in enumerate(zip(names, runs, strict=True)):
        drawn = run_plots.draw_run_plots(run, make_environment(run.config), folder / f"run-{number}")
        written += drawn
        shown += [f"![{name}: {path.stem}]({os.path.relpath(path, folder)})" for path in drawn]
    return written, "\n\n".join(shown)


def _returns(runs: Sequence["Run"], names: Sequence[str]) -> str:
    """Each pairing's return of seat 0 and of seat 1: the mean over seeds, and the lowest and highest seed."""
    lines = []
    for name, run in zip(names, runs, strict=True):
        if not run.results:
            continue
        for pairing in run.results[0].pairings:
            both = [result.returns(pairing.seat_0, pairing.seat_1) for result in run.results]
            several = [_mean_and_range([returns[seat] for returns in both]) for seat in (0, 1)]
            cells = several if len(both) > 1 else [_with_interval(pairing, seat) for seat in (0, 1)]
            lines.append([name, pairing.seat_0, pairing.seat_1, *cells])
    head = ["run", "seat 0", "seat 1", "return of seat 0", "return of seat 1"]
    note = "Mean over seeds (lowest … highest); of one seed the 95 % interval over episodes, where it is not exact."
    return f"{markdown_table(head, lines, texts=3)}\n\n{note}" if lines else ""


def _with_interval(pairing: "PairingResult", seat: int) -> str:
    half = f" ± {short_number(pairing.half_width[seat])}" if pairing.episodes else ""
    return short_number(pairing.returns[seat]) + half


def _mean_and_range(values: Sequence[float]) -> str:
    return f"{short_number(float(np.mean(values)))} ({short_number(min(values))} … {short_number(max(values))})"


def _cross_play(result: "CrossPlay", picture: pathlib.Path) -> str:
    table = markdown_table(*metric_table(result))
    return f"{result.about}\n\n{table}\n\n![Mean return of seat 0]({picture.name})"


def _attacks(runs: Sequence["Run"], names: Sequence[str]) -> str:
    """A line for each run that is an attack and was evaluated."""
    lines = []
    for name, run in zip(names, runs, strict=True):
        found = _attack_of(run)
        if found is not None:
            victim, partner = found["victim_return"], found["best_partner"]
            scores = [victim["before"], victim["under_attack"], found["partner_return"].get(partner)]
            lines.append([name, run.objective.name, *map(_estimate, scores), found["verdict"]["name"]])
    if not lines:
        return ""
    head = ["run", "attack", "victim before", "victim under attack", "adversary's best partner", "verdict"]
    return markdown_table(head, lines, texts=2)


def _attack_of(run: "Run") -> Mapping[str, Any] | None:
    return _document(run, "attack.json", "evaluate the attack again")


def _document(run: "Run", name: str, remedy: str) -> Mapping[str, Any] | None:
    path = None if run.path is None else run.path / name
    if path is None or not path.is_file():
        return None
    content = read_json(path, remedy)
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged; {remedy}")
    return content


def _estimate(score: Mapping[str, Any] | None) -> str:
    return _NOTHING if score is None else f"{short_number(score['mean'])} ± {short_number(score['half_width'])}"


def _gaps(runs: Sequence["Run"], names: Sequence[str]) -> str:
    """Exact gaps where games are small, the mean over seeds and the range; elsewhere what `rpax certify` found."""
    lines = []
    for name, run in zip(names, runs, strict=True):
        for agent, by_seat in (run.results[0].gaps if run.results else {}).items():
            for seat in by_seat:
                values = [result.gaps[agent][seat] for result in run.results]
                mean, low, high = (f"{float(number):.2g}" for number in (np.mean(values), min(values), max(values)))
                lines.append([name, agent, str(seat), f"{mean} ({low} … {high})", "exact"])
        for found in _certificates_of(run):
            agent = f"{found['agent']}, seed {found['seed']}"
            bound = f"at least {found['gap']:.3g} (± {found['half_width']:.2g})"
            partners = ", ".join(dict.fromkeys(part["partner"] for part in found["partners"]))
            seats, how = " and ".join(map(str, found["seats"])), f"trained best response to {partners}"
            lines.append([name, agent, seats, bound, how])
    return markdown_table(["run", "agent", "seat", "gap", "how"], lines, texts=5) if lines else ""


def _certificates_of(run: "Run") -> Sequence[Mapping[str, Any]]:
    """The trained certificates in a run's directory."""
    found = _document(run, "certificates.json", "certify the run again")
    return [] if found is None or found["method"] != "trained" else found["certificates"]


def _diagnoses(runs: Sequence["Run"], names: Sequence[str]) -> str:
    found = [
        f"- {name}, seed {result.seed}: {note}"
        for name, run in zip(names, runs, strict=True)
        for result in run.results
        for note in _notes(result)
    ]
    return "\n".join(found) if found else "Nothing was noticed in any run."


def _notes(result: "SeedResult") -> Sequence[str]:
    return result.diagnosis.notes
