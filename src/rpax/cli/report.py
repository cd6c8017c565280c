"""`rpax report`."""

import dataclasses
import pathlib
import time
from typing import TYPE_CHECKING, Annotated

import tyro

from rpax.cli.output import print_json, progress_bar, say
from rpax.errors import InputError

if TYPE_CHECKING:
    from rpax.evaluation.cross_play_result import CrossPlay
    from rpax.runs.run import Run


@dataclasses.dataclass(frozen=True)
class Command:
    """Write a report of runs: one Markdown file with pictures.

    Learning curves with bands over seeds, returns, cross-play of the runs of one environment, attacks, rationality
    gaps, diagnoses, and the settings in which the runs differ.

    Examples:
      rpax report runs/a runs/b
      rpax report runs/* --episodes 200 --out report
      rpax report runs/a --no-cross-play
    """

    runs: Annotated[tyro.conf.Positional[tuple[pathlib.Path, ...]], tyro.conf.arg(metavar="RUN")]
    """Run directories."""
    episodes: int = 1000
    """Episodes of each cell of the cross-play."""
    no_cross_play: tyro.conf.FlagCreatePairsOff[bool] = False
    """Leave cross-play out."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of the report (default: runs/<time>-report); finished cells of its cross-play are used again."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""

    def run(self) -> int:
        """Report."""
        if not self.runs:
            raise InputError("report needs runs; give a run directory or more")
        from rpax.folders import no_empty_folders
        from rpax.reports.run_report import write_report
        from rpax.runs.run import load

        paths = [path for path in self.runs if (path / "config.yaml").is_file() or not _is_other_output(path)]
        for path in self.runs:
            if path not in paths:
                say(f"{path} is no run and is left out", quiet=self.quiet)
        if not paths:
            raise InputError("report needs runs; give a run directory or more")
        runs = [load(path) for path in paths]
        out = self.out or pathlib.Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-report"
        with no_empty_folders(out):
            played = [] if self.no_cross_play else self._cross_plays(runs, out)
            written = write_report(runs, out, played)
        if self.json:
            print_json({"report": str(written[0]), "pictures": list(map(str, written[1:]))})
        else:
            say(f"written: {written[0]} and {len(written) - 1} pictures", quiet=self.quiet)
        return 0

    def _cross_plays(self, runs: "list[Run]", out: pathlib.Path) -> "list[CrossPlay]":
        """One for each environment, of the runs that have policies."""
        from rpax.runs.cross_play import cross_play
        from rpax.runs.roster import can_meet, same_environment

        groups: list[list[Run]] = []
        for run in runs:
            if run.results or run.status == "interrupted":
                group = next((group for group in groups if same_environment(group[0], run)), None)
                if group is None:
                    groups.append(group := [])
                group.append(run)
        results = []
        for number, group in enumerate(group for group in groups if can_meet(group)):
            name = group[0].config.environment
            with progress_bar(f"cross-play in {name}", quiet=self.quiet) as show:
                results.append(
                    cross_play(
                        group,
                        episodes=self.episodes,
                        out=out / f"cross-play-{number}",
                        progress=lambda done, total, show=show: show(done, total, ()),
                    )
                )
        return results


def _is_other_output(path: pathlib.Path) -> bool:
    """Whether a folder is what another command wrote: a cross-play, a report, a reproduction."""
    return any((path / name).is_file() for name in ("settings.json", "report.md", "experiment.json"))
