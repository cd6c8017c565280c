"""One person's session as a machine without sockets and clocks: texts and times in, messages out.

Messages to the page are mappings with a ``type``:

- ``welcome``: the game, the partners, the rules; what the page needs before the first episode.
- ``begin``: an episode: its scene, who sits where, in how many seconds it starts.
- ``frame``: a state: the numbers to draw it by, what was done and paid, what may be done.
- ``paused``, ``go``: time stops, and goes on in so many seconds.
- ``end``: the returns, and why the recording could not be written if it could not.
- ``error``: a line for the person; ``over`` says that no game is in progress any more.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool

from rpax.cli.output import say
from rpax.environments.jaxmarl.hanabi import Hanabi
from rpax.errors import InputError, shown
from rpax.recordings.scenes.pictures import PicturesScene
from rpax.recordings.scenes.scene import scene_of
from rpax.web.game import Game
from rpax.web.host import Host, idle_action
from rpax.web.messages import Act, Allowance, Pause, Refused, Start, parse_message
from rpax.web.windows import Windows

#: Seconds until time begins to run in an episode, and after a pause.
COUNTDOWN, RESUME = 3.0, 1.0
#: Seconds for which a state is shown before somebody who can only wait does so.
FORCED = 0.8

Message = dict[str, Any]


class Session:
    """What one page has going on.

    Args:
        host: what it shares with others.
        now: the time in seconds.
    """

    def __init__(self, host: Host, now: float) -> None:
        self._host, self._allowance = host, Allowance(now)
        self._game: Game | None = None
        self._partner, self._seat = host.first, host.rules.seat
        self._windows: Windows[Act] | None = None
        self._forced: float | None = None
        self._problem: str | None = None
        self._since = now
        self._paused = self._ended = False

    def welcome(self) -> Message:
        """The first message."""
        host, environment = self._host, self._host.environment
        names = [[space.name_of(a) for a in range(space.num_actions)] for space in environment.spaces]
        return {
            "type": "welcome",
            "environment": environment.name,
            "label": host.rules.label,
            "blind": host.rules.blind,
            "partners": [{"name": p.shown, "seats": host.seats(n)} for n, p in enumerate(host.partners)],
            "partner": self._partner,
            "seat": self._seat,
            "rate": host.rules.rate,
            "horizon": host.programs.horizon,
            "actions": names,
            "idle": [idle_action(space) for space in environment.spaces],
            **self._progress(),
        }

    def _progress(self) -> Message:
        return {"played": self._host.played, "episodes": self._host.rules.episodes, "all_played": self._host.over}

    def receive(self, text: str, now: float) -> Iterator[Message]:
        """What follows from a message of the page.

        Raises:
            Excessive: the connection must end.
        """
        self._allowance.take(now)
        try:
            message = parse_message(text)
            if isinstance(message, Start):
                yield from self._start(message, now)
            elif isinstance(message, Pause):
                yield from self._pause(message.paused, now)
            else:
                yield from self._act(message, now)
        except Refused as error:
            self._allowance.refuse()
            yield {"type": "error", "text": str(error), "over": self._game is None}
        except InputError as error:
            yield self._broken(error)

    def tick(self, now: float) -> Iterator[Message]:
        """What follows from the time alone; to be called when it is :attr:`due`."""
        try:
            if self._ended:
                yield self._end()
            elif self._windows is not None:
                yield from self._play_windows(now)
            elif self._forced is not None and now >= self._forced and self._game is not None:
                yield from self._step(None, now)
        except InputError as error:
            yield self._broken(error)

    @property
    def due(self) -> float | None:
        """When to call :meth:`tick`, if no message comes before; ``None`` for never."""
        if self._ended:
            return 0.0
        return self._forced if self._windows is None else self._windows.due

    def _start(self, message: Start, now: float) -> Iterator[Message]:
        if self._host.over:
            raise Refused("all episodes of this session are played")
        try:
            self._host.check_seat(message.partner, message.seat)
        except InputError as error:
            raise Refused(str(error)) from None
        self._drop()
        self._partner, self._seat = message.partner, message.seat
        game = self._game = self._host.new_game(message.partner, message.seat)
        partner = self._host.partners[message.partner].shown
        names = [partner, partner]
        names[message.seat] = self._host.rules.label
        countdown = COUNTDOWN if self._host.rules.rate else 0.0
        yield {
            "type": "begin",
            "scene": game.scene.document(),
            "partner": message.partner,
            "seat": message.seat,
            "names": names,
            "countdown": countdown,
        }
        yield self._frame(game)
        self._run(now + countdown)

    def _run(self, since: float) -> None:
        """Let time run."""
        self._since = since
        rate = self._host.rules.rate
        if rate:
            self._windows = Windows(1 / rate, since)
        else:
            self._wait_for_forced(since)

    def _wait_for_forced(self, now: float) -> None:
        game = self._game
        only_one = game is not None and not game.over and game.legal(self._seat).sum() == 1
        self._forced = now + FORCED if only_one else None

    def _drop(self) -> None:
        self._game = self._windows = self._forced = None
        self._paused = self._ended = False

    def _pause(self, paused: bool, now: float) -> Iterator[Message]:
        if self._game is None or self._ended or paused == self._paused:
            return
        self._paused = paused
        if paused:
            self._windows = self._forced = None
            yield {"type": "paused"}
            return
        countdown = RESUME if self._host.rules.rate else 0.0
        self._run(now + countdown)
        yield {"type": "go", "countdown": countdown}

    def _act(self, message: Act, now: float) -> Iterator[Message]:
        game = self._game
        if game is None or self._ended or self._paused or now < self._since:
            # It crossed the end of the episode on its way, or comes before it begins.
            return
        legal = game.legal(self._seat)
        if not 0 <= message.action < len(legal):
            raise Refused(f"action {shown(message.action)} is none; give a number from 0 to {len(legal) - 1}")
        if self._windows is not None:
            self._windows.press(message)
            yield from self._play_windows(now)
        elif message.step == game.length and legal[message.action]:
            yield from self._step(message, now)

    def _play_windows(self, now: float) -> Iterator[Message]:
        while self._windows is not None and (step := self._windows.poll(now)) is not None:
            yield from self._step(step[0], now)

    def _step(self, act: Act | None, now: float) -> Iterator[Message]:
        game = self._game
        assert game is not None, "only games make steps"
        legal = game.legal(self._seat)
        game.step({self._seat: self._idle(legal) if act is None or not legal[act.action] else act.action})
        if game.over:
            self._windows = self._forced = None
            self._ended = True
            # Before the page gets the last state: it may be closed at any moment from then on.
            self._problem = self._host.finish(game)
        elif self._windows is None:
            self._wait_for_forced(now)
        yield self._frame(game) | {"answers": None if act is None else act.number}

    def _idle(self, legal: Bool[np.ndarray, " actions"]) -> int:
        """What somebody does who does nothing."""
        idle = idle_action(self._host.environment.spaces[self._seat])
        return int(np.argmax(legal)) if idle is None or not legal[idle] else idle

    def _frame(self, game: Game) -> Message:
        chances = game.chances(self._seat)
        scene: Message = {}
        if isinstance(game.scene, PicturesScene):
            # Only the picture of this state, as there may be hundreds.
            only = scene_of(game.environment)
            values = game.values(only)
            scene = {"scene": only.document()}
        else:
            values = game.values()
        return {
            "type": "frame",
            "step": game.length,
            "values": self._without_own_cards(game, values),
            "actions": game.actions,
            "rewards": game.rewards,
            "returns": game.returns,
            "legal": game.legal(self._seat).tolist(),
            "advice": None if chances is None else [round(float(p), 3) for p in chances],
            "over": game.over,
            "answers": None,
            **scene,
        }

    def _without_own_cards(self, game: Game, values: list[int]) -> list[int]:
        """In Hanabi nobody sees what they hold before the end; a 1 stays where there is a card."""
        if not isinstance(game.environment, Hanabi) or game.over:
            return values
        hand = int(game.environment.game.hand_size)
        own = range(self._seat * hand, (self._seat + 1) * hand)
        return [min(value, 1) if place in own else value for place, value in enumerate(values)]

    def _end(self) -> Message:
        game = self._game
        assert game is not None, "only games end"
        self._drop()
        told = {"returns": game.returns, "steps": game.length, "problem": self._problem}
        return {"type": "end", **told, **self._progress()}

    def _broken(self, error: InputError) -> Message:
        """The game cannot go on, as the partner is a function that fails."""
        self._drop()
        line = " ".join(str(error).split())
        say(f"rpax: {line}")
        return {
            "type": "error",
            "text": "the partner failed; the host can see why" if self._host.rules.blind else line,
            "over": True,
        }
