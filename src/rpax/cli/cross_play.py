"""`rpax cross-play`."""

import dataclasses
import pathlib
import time
from typing import TYPE_CHECKING, Annotated

import tyro

from rpax.cli.output import print_json, progress_bar, say
from rpax.errors import InputError
from rpax.runs.config import parse_options

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment
    from rpax.evaluation.cross_play_result import CrossPlay
    from rpax.recordings.played import Played

#: Of so many agents every cell is printed too.
_MOST_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Command:
    """Play every base agent of the runs with every one, in both seats, and with itself.

    Other agents may take part: RUN:AGENT, RUN:SEED:AGENT, policy files, scripted partners and Python callables, see
    docs/fixed-agents.md; they need --environment if no run says where they play. Agents are reported in groups, those
    of one algorithm together; LABEL=… makes a group of your own. The folder keeps every finished cell: a second call
    with the same --out plays only what is missing, also with more runs.

    Writes cross-play.json, .csv, .md, .tex and heatmap.png.

    Examples:
      rpax cross-play runs/ad-rpg runs/sp --out results/cross-play
      rpax cross-play 'SP .01=runs/a' 'SP .05=runs/b' --greedy
      rpax cross-play runs/sp scripted:onion-carrier --episodes 200 --json
      rpax cross-play runs/sp --played runs/sp/plays
    """

    runs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[LABEL=]RUN")]
    """Run directories, or single agents."""
    episodes: int = 1000
    """Episodes of each cell."""
    seed: int = 0
    """Of the episodes: their starts and what agents draw."""
    greedy: tyro.conf.FlagCreatePairsOff[bool] = False
    """Agents take their likeliest action instead of drawing one."""
    manipulators: tyro.conf.FlagCreatePairsOff[bool] = False
    """Manipulators take part too."""
    environment: Annotated[
        str | None, tyro.conf.arg(metavar="ENVIRONMENT", help_behavior_hint="(default: that of the runs)")
    ] = None
    """Where they play."""
    option: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="KEY=VALUE", help_behavior_hint="(may be repeated)"),
    ] = ()
    """Set an option of --environment, for example --option horizon=100."""
    played: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Add what people got who played with agents: recordings of `rpax play`, each simulated again."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of cells and results (default: runs/<time>-cross-play)."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""

    def run(self) -> int:
        """Play and report."""
        if not self.runs:
            raise InputError("cross-play needs agents; give a run directory or more")
        if self.option and self.environment is None:
            raise InputError("--option belongs to an environment; give --environment too")
        out = self.out or pathlib.Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-cross-play"
        from rpax.environments.registry import make
        from rpax.folders import no_empty_folders
        from rpax.reports.cross_play_report import write_cross_play
        from rpax.runs.cross_play import cross_play

        game = None if self.environment is None else make(self.environment, **parse_options(self.option))
        played = None if self.played is None else self._read_played(game)
        with no_empty_folders(out), progress_bar("cross-play", quiet=self.quiet) as show:
            result = cross_play(
                self.runs,
                episodes=self.episodes,
                seed=self.seed,
                greedy=self.greedy,
                manipulators=self.manipulators,
                environment=game,
                out=out,
                progress=lambda done, total: show(done, total, ()),
            )
        written = write_cross_play(result, out)
        if self.json:
            print_json(result.to_dict() | ({} if played is None else {"played": played.to_dict()}))
        else:
            print_cross_play(result, played)
        say("written: " + ", ".join(map(str, written)), quiet=self.quiet)
        return 0

    def _read_played(self, game: "Environment | None") -> "Played":
        """What people got; what does not count is told on stderr."""
        from rpax.recordings.played import read_played
        from rpax.runs.roster import labelled, run_behind, shared_environment

        if game is None:
            runs = [run for _, source in labelled(self.runs) if (run := run_behind(source)) is not None]
            game = shared_environment(runs)
        assert self.played is not None, "it is read where it is given"
        played = read_played(self.played, game)
        for file, why in played.left_out:
            say(f"left out: {file} {why}")
        return played


def print_cross_play(result: "CrossPlay", played: "Played | None" = None) -> None:
    """The table of metrics, where there are few agents every cell, and what people got."""
    from rich.console import Console
    from rich.table import Table

    from rpax.reports.cross_play_tables import cell_table, metric_table

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    tables = {f"{result.environment}: {result.about}": metric_table(result)}
    if len(result.names) <= _MOST_SHOWN:
        tables["mean return of seat 0 (rows)"] = cell_table(result, 0)
    if played is not None:
        from rpax.recordings.played import played_table

        tables["people with agents"] = played_table(played)
    for title, (head, lines) in tables.items():
        table = Table(title=title, title_justify="left")
        for name in head:
            table.add_column(name, overflow="fold")
        for line in lines:
            table.add_row(*line)
        console.print(table)
