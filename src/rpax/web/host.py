"""What everybody who plays has in common: the game, the partners, the rules of the session, and where episodes go."""

import dataclasses
import os
import pathlib
import random
import secrets
import threading
import time
from collections.abc import Sequence

import jax

from rpax.cli.output import say
from rpax.environments.jaxmarl.hanabi import Hanabi
from rpax.environments.protocol import Environment, Key, SeatSpace
from rpax.environments.tabular_game import TabularGame
from rpax.errors import InputError, shown
from rpax.recordings.recording import SUFFIX, Recording
from rpax.runs.agent import Agent
from rpax.runs.writing import Unwritable
from rpax.web.game import Game, Programs, Sitter, fresh_key
from rpax.web.partners import short_names

#: Steps in a second unless asked otherwise, in how many seconds an episode may end then, and what may be asked for
#: beside 0.
RATE, SHORTEST, RATES = 10.0, 10.0, (0.5, 20.0)
#: Characters of a person's label.
MOST_LABEL = 60
#: Episodes that could not be written are kept for another try.
_MOST_UNWRITTEN = 100
_IDLE = ("stay", "wait", "noop", "no-op", "none", "nothing")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclasses.dataclass(frozen=True)
class Partner:
    """Somebody to play with.

    Attributes:
        name: as in cross-play, ``run:seed:agent``, which recordings keep.
        shown: what the person sees.
        agent: who it is.
    """

    name: str
    shown: str
    agent: Agent


@dataclasses.dataclass(frozen=True)
class Rules:
    """What the host of a session decides.

    Attributes:
        label: the person's, in recordings.
        seat: where the person sits at first.
        partner: whom the person meets at first, as a number.
        rate: steps a second; 0 waits for the person.
        blind: partners have letters for names, in an order drawn now.
        episodes: how many are played in all; ``None`` for no end.
        seed: decides the keys of the episodes; ``None`` for keys that nobody can guess.
    """

    label: str = "person"
    seat: int = 0
    partner: int = 0
    rate: float = RATE
    blind: bool = False
    episodes: int | None = None
    seed: int | None = None


class Host:
    """Keeps the programs, the partners and what was played. Several threads may use it.

    Args:
        programs: of the game.
        partners: all that can be chosen; ``rules.partner`` is the number of one of these.
        rules: of the session.
        out: the folder of the recordings.
        adviser: whose probabilities a person sees before acting, if anybody's.

    Raises:
        InputError: the rules are none, or the first partner cannot play.
    """

    def __init__(
        self,
        programs: Programs,
        partners: Sequence[tuple[str, Agent]],
        rules: Rules,
        out: pathlib.Path,
        adviser: Agent | None = None,
    ) -> None:
        environment = programs.environment
        _check_rules(rules, environment)
        self.programs, self.rules, self.out, self.adviser = programs, rules, out, adviser
        numbers = list(range(len(partners)))
        if rules.blind:
            random.SystemRandom().shuffle(numbers)
        called = [_letters(place) for place in range(len(numbers))] if rules.blind else short_names(partners)
        self.partners = tuple(
            Partner(partners[number][0], shown, partners[number][1])
            for number, shown in zip(numbers, called, strict=True)
        )
        self.first = numbers.index(rules.partner)
        self.check_seat(self.first, rules.seat)
        check_writable(out)
        self.played = 0
        self._begun = 0
        self._lock = threading.Lock()
        self._unwritten: list[tuple[pathlib.Path, Recording]] = []
        self._lost = 0

    @property
    def environment(self) -> Environment:
        """The game that is played."""
        return self.programs.environment

    @property
    def over(self) -> bool:
        """Whether all episodes of the session are played."""
        return self.rules.episodes is not None and self.played >= self.rules.episodes

    def seats(self, partner: int) -> list[int]:
        """The seats that are left for a person who plays with a partner."""
        return [1 - seat for seat in sorted(self.partners[partner].agent.seats, reverse=True)]

    def check_seat(self, partner: int, seat: int) -> None:
        """Refuse a seat that the partner does not leave free.

        Raises:
            InputError: there is no such partner, or the seat is its own.
        """
        if not 0 <= partner < len(self.partners):
            raise InputError(f"partner {shown(partner)} is none; give a number from 0 to {len(self.partners) - 1}")
        if seat not in self.seats(partner):
            found = self.partners[partner]
            plays = ", ".join(map(str, found.agent.seats))
            raise InputError(
                f"seat {seat} is not free: agent '{found.shown}' plays seat {plays} only; take the other one"
            )

    def new_game(self, partner: int, seat: int) -> Game:
        """A game that begins.

        Raises:
            InputError: see :meth:`check_seat`, or the partner is a function that does not answer.
        """
        self.check_seat(partner, seat)
        with self._lock:
            number, self._begun = self._begun, self._begun + 1
        return Game(self.programs, self._sitters(partner, seat), self._key(number))

    def warm_up(self) -> None:
        """Compile what the first game needs.

        Raises:
            InputError: the partner is a function that does not answer.
        """
        self.programs.warm_up(self._sitters(self.first, self.rules.seat))

    def _sitters(self, partner: int, seat: int) -> tuple[Sitter, Sitter]:
        adviser = self.adviser if self.adviser is not None and seat in self.adviser.seats else None
        person = Sitter(self.rules.label, adviser, is_person=True)
        found = self.partners[partner]
        agent = Sitter(found.name, found.agent)
        return (person, agent) if seat == 0 else (agent, person)

    def _key(self, number: int) -> Key:
        return fresh_key() if self.rules.seed is None else jax.random.fold_in(jax.random.key(self.rules.seed), number)

    def finish(self, game: Game) -> str | None:
        """Write a game that is over, and those that could not be written before; count it.

        Returns:
            Why something could not be written, in a line that does not say where; the same is said on stderr with all
            there is to know.
        """
        path = self.out / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}{SUFFIX}"
        with self._lock:
            self.played += 1
            self._unwritten.append((path, game.recording()))
            reason = self._write()
            if reason is None:
                return None
            if len(self._unwritten) > _MOST_UNWRITTEN:
                self._unwritten.pop(0)
                self._lost += 1
            say(
                f"rpax: {self.out} cannot be written ({reason}); make room there. "
                f"Recordings that wait for the next try: {len(self._unwritten)}"
            )
        return f"the recording could not be written ({reason}); it is tried again after the next episode"

    def write_waiting(self) -> tuple[int, str]:
        """Write what could not be written before, for the last time.

        Returns:
            How many recordings are lost, and why.
        """
        with self._lock:
            reason = self._write()
            return self._lost + len(self._unwritten), reason or "too many waited"

    def _write(self) -> str | None:
        """Write all recordings that wait, the earliest first, until one cannot be written; why not."""
        while self._unwritten:
            path, recording = self._unwritten[0]
            try:
                self.out.mkdir(parents=True, exist_ok=True)
                recording.save(path)
            except (Unwritable, OSError) as error:
                return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            self._unwritten.pop(0)
        return None


def check_writable(folder: pathlib.Path) -> None:
    """Whether recordings can be written in a folder, which need not be there yet.

    Raises:
        InputError: they cannot.
    """
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"recordings cannot be written to {folder}; give another --out, or make it writable")


def idle_action(space: SeatSpace) -> int | None:
    """The action of somebody who does nothing, where there is one."""
    names = [name.lower() for name in space.action_names or ()]
    return next((names.index(name) for name in _IDLE if name in names), None)


def usual_rate(environment: Environment) -> float:
    """How many steps a second are made unless asked otherwise, 0 where the game waits for the person.

    Games of turns wait, and those without an action for who does nothing. Others make ten steps a second, fewer where
    an episode would be over within ten seconds.
    """
    by_turns = isinstance(environment, TabularGame | Hanabi)
    if by_turns or any(idle_action(space) is None for space in environment.spaces):
        return 0.0
    return max(min(RATE, environment.horizon / SHORTEST), RATES[0])


def _letters(number: int) -> str:
    """A, B, … Z, AA, AB, …"""
    rest, last = divmod(number, len(_LETTERS))
    return (_letters(rest - 1) if rest else "") + _LETTERS[last]


def _check_rules(rules: Rules, environment: Environment) -> None:
    if not rules.label.strip() or len(rules.label) > MOST_LABEL or not rules.label.isprintable():
        raise InputError(f"label {shown(rules.label)} is not allowed; give 1 to {MOST_LABEL} printable characters")
    if rules.seat not in (0, 1):
        raise InputError(f"seat {rules.seat} is not allowed; give 0 or 1")
    if rules.rate and not RATES[0] <= rules.rate <= RATES[1]:
        low, high = RATES
        raise InputError(f"rate {rules.rate:g} is not allowed; give {low:g} to {high:g} steps a second, or 0 to wait")
    if rules.rate and any(idle_action(space) is None for space in environment.spaces):
        raise InputError(
            f"rate {rules.rate:g} needs an action for those who do nothing, '{environment.name}' has none called "
            f"{' or '.join(_IDLE[:3])}; give 0 to wait for the person"
        )
    if rules.episodes is not None and not 1 <= rules.episodes <= 10_000:
        raise InputError(f"episodes {rules.episodes} is not allowed; give a whole number from 1 to 10000")
    if rules.seed is not None and not 0 <= rules.seed < 2**32:
        raise InputError(f"seed {rules.seed} is not allowed; give a whole number from 0 to {2**32 - 1}")
