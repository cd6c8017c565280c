"""`rpax resume`."""

import dataclasses
import pathlib
from typing import Annotated, Literal

import tyro

from rpax.cli.output import print_json, print_run, progress_bar, say


@dataclasses.dataclass(frozen=True)
class Command:
    """Continue a run from its last checkpoint to its end, or beyond with --until.

    Examples:
      rpax resume runs/x
      rpax resume runs/x --until 10000
      rpax resume runs/x --on-nonfinite skip
    """

    run_dir: tyro.conf.Positional[pathlib.Path]
    """The run directory."""
    until: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: as configured)")] = None
    """Train up to this update."""
    minutes: Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="(default: no limit)")] = None
    """Stop, saved, after so many minutes."""
    on_nonfinite: Annotated[
        Literal["stop", "skip"] | None,
        tyro.conf.arg(metavar="{stop,skip}", help_behavior_hint="(default: as configured)"),
    ] = None
    """What happens from here on where an update is not finite."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""

    def run(self) -> int:
        """Resume."""
        from rpax.runs.failure import told
        from rpax.runs.run import load, reopen

        # A scheme's lie in its stages.
        for file in sorted((*self.run_dir.glob("failure.json"), *self.run_dir.glob("*/failure.json"))):
            say(f"run {file.parent}: {told(file) or 'it stopped as training became non-finite'}", quiet=self.quiet)
        session = reopen(self.run_dir, until=self.until, minutes=self.minutes, on_nonfinite=self.on_nonfinite)
        if session is None:
            run = load(self.run_dir)
        else:
            for note in session.notes:
                # What is lost or was changed is said in any case.
                say(note, quiet=self.quiet and note not in session.changes)
            with progress_bar(str(self.run_dir), quiet=self.quiet) as progress:
                run = session.run(progress)
        if self.json:
            print_json(run.to_dict())
        else:
            print_run(run)
        return 0
