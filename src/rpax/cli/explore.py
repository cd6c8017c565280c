"""`rpax explore`."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import tyro

from rpax.cli.output import print_json, progress_bar, say
from rpax.errors import InputError

if TYPE_CHECKING:
    from rpax.web.book import Book, PlaySettings

_EPISODES = 100


@dataclasses.dataclass(frozen=True)
class Command:
    """Look at runs in the browser: learning curves, objective graphs, the cross-play grid, and episodes to watch.

    The page follows runs while they are trained. Runs of one environment form a grid, whose cells are played in the
    background; a click on a cell shows its best, median and worst episode. It is served on this computer only, and
    needs the extra `rpax[web]`.

    With --export nothing is served: everything is played, and written as one file that opens from disk, without
    network and without rpax. That needs no extra.

    Examples:
      rpax explore runs/ad-rpg runs/sp
      rpax explore runs/* --cells results/cross-play
      rpax explore runs/ad-rpg --export explorer.html
    """

    runs: Annotated[tyro.conf.Positional[tuple[pathlib.Path, ...]], tyro.conf.arg(metavar="RUN")]
    """Run directories."""
    export: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="FILE.html", help_behavior_hint="")] = None
    """Write one self-contained file instead of serving a page."""
    cells: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Keep played cells here, and use those that are there: what `rpax cross-play --out` wrote, or an earlier call."""
    episodes: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: those of --cells, else 100)")
    ] = None
    """Episodes of each cell."""
    seed: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: that of --cells, else 0)")
    ] = None
    """Of the episodes: their starts and what agents draw."""
    greedy: tyro.conf.FlagCreatePairsOff[bool] = False
    """Agents take their likeliest action instead of drawing one; also where --cells were played so."""
    title: str = "rpax explorer"
    """Title of the page."""
    port: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 8421 or the next free)")] = (
        None
    )
    """Where the page is served; 0 takes any free port."""
    host: str = "127.0.0.1"
    """Address to serve at. Any but the default lets other computers in, who need the token that is printed."""
    no_browser: tyro.conf.FlagCreatePairsOff[bool] = False
    """Do not open the page."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the address, or what was exported, as a JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Show no progress."""

    def run(self) -> int:
        """Serve or export."""
        self._check_runs()
        if self.export is not None:
            return self._export(self.export)
        from rpax.web.extra import check_web_extra

        check_web_extra()
        book = self._book(live=True)
        from rpax.web.explore_app import explore_app
        from rpax.web.server import listen, run_server

        listening = listen(self.host, self.port)
        try:
            app = explore_app(book, listening)
            shown = {"open_browser": not self.no_browser, "quiet": self.quiet, "json": self.json}
            run_server(app, listening, what=self.title, **shown)
        finally:
            listening.socket.close()
            book.close()
        return 0

    def _check_runs(self) -> None:
        if not self.runs:
            raise InputError("explore needs runs; give a run directory or more")
        for path in self.runs:
            if not path.is_dir():
                what = "is a file" if path.exists() else "does not exist"
                raise InputError(f"run directory {path} {what}; give the directory that `rpax train` wrote")
        if not any((path / "config.yaml").is_file() for path in self.runs):
            raise InputError(f"run directory {self.runs[0]} has no config.yaml; give one that `rpax train` wrote")

    def _book(self, *, live: bool) -> "Book":
        from rpax.web.book import Book

        return Book(self.runs, settings=self._settings(), cells=self.cells, title=self.title, live=live)

    def _settings(self) -> "PlaySettings":
        """How cells are played: as asked for, else as those that are kept were."""
        from rpax.errors import shown
        from rpax.web.book import PlaySettings, known_settings

        known = {} if self.cells is None else known_settings(self.cells)
        episodes = known.get("episodes", _EPISODES) if self.episodes is None else self.episodes
        seed = known.get("seed", 0) if self.seed is None else self.seed
        for name, value, least in (("episodes", episodes, 2), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
                raise InputError(f"{name} {shown(value)} is not allowed; give a whole number from {least} to 2³¹−1")
        return PlaySettings(episodes, seed, self.greedy or known.get("greedy") is True)

    def _export(self, path: pathlib.Path) -> int:
        from rpax.web.export import export

        with contextlib.ExitStack() as bars:
            shown: dict[str, Callable[..., None]] = {}

            def progress(what: str, done: int, total: int) -> None:
                if what not in shown:
                    bars.close()
                    shown[what] = bars.enter_context(progress_bar(what, quiet=self.quiet))
                shown[what](done, total, ())

            written = export(self._book(live=False), path, progress)
        if self.json:
            about = {"file": str(written.path), "bytes": written.size}
            print_json({**about, "recordings": written.recordings, "picks": list(written.picks)})
        picks = ", ".join(written.picks)
        say(
            f"written: {written.path}, {written.size / 1e6:.1f} MB, {written.recordings} "
            f"episodes ({picks} of each cell)",
            quiet=self.quiet,
        )
        return 0
