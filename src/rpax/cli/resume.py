"""`rpax resume`."""

import dataclasses
import pathlib
from typing import Annotated

import tyro

from rpax.cli.output import print_json, print_run, progress_bar, say


@dataclasses.dataclass(frozen=True)
class Command:
    """Continue a run from its last checkpoint to its end, or beyond with --until.

    Examples:
      rpax resume runs/x
      rpax resume runs/x --until 10000
    """

    run_dir: tyro.conf.Positional[pathlib.Path]
    """The run directory."""
    until: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: as configured)")] = None
    """Train up to this update."""
    minutes: Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="(default: no limit)")] = None
    """Stop, saved, after so many minutes."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""

    def run(self) -> int:
        """Resume."""
        from rpax.runs.run import load, reopen

        session = reopen(self.run_dir, until=self.until, minutes=self.minutes)
        if session is None:
            run = load(self.run_dir)
        else:
            for note in session.notes:
                say(note, quiet=self.quiet)
            with progress_bar(str(self.run_dir), quiet=self.quiet) as progress:
                run = session.run(progress)
        if self.json:
            print_json(run.to_dict())
        else:
            print_run(run)
        return 0
