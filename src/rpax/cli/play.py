"""`rpax play`."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Annotated

import tyro

from rpax.cli.output import say
from rpax.errors import InputError

if TYPE_CHECKING:
    from rpax.web.host import Host


@dataclasses.dataclass(frozen=True)
class Command:
    """Play with a run's agents in the browser: a person takes a seat, an agent the other one.

    Overcooked makes ten steps a second, STORM and other short games so many that an episode lasts ten seconds; matrix
    games, extensive-form games and Hanabi wait for the person; --rate changes that. All keys are on the page, which
    also works by touch. Every episode that is played to its end is a recording in --out, which `rpax explore` shows and
    `rpax cross-play --played` counts; beside the episode it holds who played: the agent's name and --label, nothing
    else.

    The page is there for this computer only. With --host it is for others too, and its address then ends in a token
    that they need.

    Examples:
      rpax play runs/x
      rpax play runs/x --agent base_1 --seat 1
      rpax play runs/x --agent base_0 --agent scripted:onion-carrier --blind --label P07 --episodes 6
      rpax play runs/x --advice base_0
      rpax play runs/x --rate 4 --no-browser --port 9000
      rpax play runs/x --host 0.0.0.0
    """

    run_dir: tyro.conf.Positional[pathlib.Path]
    """The run directory."""
    agent: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="NAME", help_behavior_hint="(may be repeated; default: all base agents)"),
    ] = ()
    """Who can be played with: an agent of the run, with SEED: before it or @UPDATE behind it, or anything else that
    `rpax train --partner` takes."""
    seat: Annotated[int | None, tyro.conf.arg(metavar="0|1", help_behavior_hint="(default: 0 if it is free)")] = None
    """Where the person sits at first; the page can swap seats."""
    run_seed: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: its first)")] = None
    """Agents of this seed of the run."""
    label: Annotated[str, tyro.conf.arg(metavar="TEXT")] = "person"
    """What recordings call the person."""
    blind: tyro.conf.FlagCreatePairsOff[bool] = False
    """Call partners A, B, … in an order drawn now; only the recordings say who they were."""
    episodes: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: no end)")] = None
    """End after so many episodes."""
    rate: Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="(default: see above)")] = None
    """Steps a second; 0 waits for the person."""
    advice: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: nobody)")] = None
    """Show what this agent would do in the person's place."""
    greedy: tyro.conf.FlagCreatePairsOff[bool] = False
    """Agents take their likeliest action instead of drawing one."""
    seed: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: drawn)")] = None
    """Of the episodes: their starts and what agents draw."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: RUN/plays)")] = None
    """Folder of the recordings."""
    host: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = "127.0.0.1"
    """Where to listen; anything but this computer's own address needs the token that is printed."""
    port: Annotated[
        int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 8421 or the next one that is free)")
    ] = None
    """The port; 0 for any that is free."""
    no_browser: tyro.conf.FlagCreatePairsOff[bool] = False
    """Do not open the page in the browser."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the address as a JSON document on stdout; everything else goes to stderr."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print nothing but the address."""

    def run(self) -> int:
        """Serve until interrupted, or until all episodes are played."""
        from rpax.web.extra import check_web_extra

        check_web_extra()
        host = self._make_host()
        from rpax.web.play_app import make_play_app
        from rpax.web.server import listen, run_server, stop_server

        listening = listen(self.host, self.port)
        say("getting the agents ready", quiet=self.quiet)
        host.warm_up()
        app = make_play_app(
            host,
            allowed_hosts=listening.allowed_hosts,
            token=listening.token,
            all_played=lambda: stop_server(app),
        )
        shown = {"open_browser": not self.no_browser, "quiet": self.quiet, "json": self.json}
        try:
            run_server(app, listening, what="play", **shown)
        finally:
            # Also after a signal, which is how most sessions end.
            lost = self._tell(host)
        return 2 if lost else 0

    def _tell(self, host: "Host") -> int:
        """Say what was played, and how many recordings of it are lost, after another try to write them."""
        lost, reason = host.write_waiting()
        if lost:
            say(f"rpax: {lost} of {_episodes(host.played)} lost, as {host.out} cannot be written ({reason})")
        elif host.played:
            say(f"{_episodes(host.played)} played; recordings are in {host.out}", quiet=self.quiet)
        else:
            say("no episode was played to its end", quiet=self.quiet)
        return lost

    def _make_host(self) -> "Host":
        from rpax.runs.run import load

        run = load(self.run_dir)
        from rpax.runs.compilation_cache import use_compilation_cache
        from rpax.runs.session import make_environment
        from rpax.web.game import Programs
        from rpax.web.host import Host, Rules, usual_rate
        from rpax.web.partners import partners_of

        use_compilation_cache()
        environment = make_environment(run.config)
        partners = partners_of(run, self.agent, environment, self.run_seed)
        adviser = None if self.advice is None else partners_of(run, [self.advice], environment, self.run_seed)[0][1]
        if adviser is not None and self.blind:
            raise InputError("--advice tells what an agent does, --blind hides who it is; leave one of them out")
        first = partners[0][1]
        free = 0 if 1 in first.seats else 1
        rules = Rules(
            label=self.label,
            seat=free if self.seat is None else self.seat,
            rate=usual_rate(environment) if self.rate is None else self.rate,
            blind=self.blind,
            episodes=self.episodes,
            seed=self.seed,
        )
        out = self.out or self.run_dir / "plays"
        return Host(Programs(environment, greedy=self.greedy), partners, rules, out, adviser)


def _episodes(count: int) -> str:
    return f"{count} episode{'' if count == 1 else 's'}"
