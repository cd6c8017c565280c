"""Replays: episodes that agents play together, as moving pictures with who sits where, what they do and get."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rpax.environments.own_files import running
from rpax.environments.protocol import Environment, State
from rpax.errors import InputError, shown
from rpax.evaluation.episodes import Episode, Player
from rpax.folders import no_empty_folders
from rpax.reports.drawing import FAINT, INK, MUTED, SEAT_COLOURS, Canvas, text_width
from rpax.reports.moving_picture import FORMATS, FPS, check_range, check_writable, write_moving_picture
from rpax.runs.agent import Agent
from rpax.runs.run import Run

_MARGIN, _LINE, _SIZE = 14, 24, 14.0
#: The least and the most by which pictures are scaled.
SCALE = (0.25, 4.0)
_WHOLE = {"episodes": (1, 1000), "seed": (0, 2**32 - 1)}
#: How long the last picture of an episode stays, in pictures.
_HOLD = 3


class Row(NamedTuple):
    """One seat's line on a picture: who sits there, what it did last, what it has got."""

    seat: str
    agent: str
    action: str
    returns: str


class Caption(NamedTuple):
    """What is written on a picture."""

    title: str
    step: str
    rows: tuple[Row, Row]


def captions(environment: Environment, names: tuple[str, str], episode: Episode, title: str) -> list[Caption]:
    """What is written on each picture of an episode, one a state."""
    so_far = episode.returns_so_far
    found = []
    for t in range(len(episode.states)):
        rows = []
        for seat in (0, 1):
            action = environment.spaces[seat].name_of(int(episode.actions[t - 1, seat])) if t else "–"
            returns = f"{so_far[t, seat]:.4g}".replace("-", "−")
            rows.append(Row(f"seat {seat}", names[seat], action, returns))
        found.append(Caption(title, f"step {t} of {episode.length}", (rows[0], rows[1])))
    return found


@dataclasses.dataclass(frozen=True)
class Layout:
    """The places of a caption's columns and the size of all pictures of a replay, in pixels before scaling."""

    columns: tuple[float, float, float, float]
    width: int
    height: int


def make_layout(all_captions: Sequence[Caption], picture: tuple[int, int]) -> Layout:
    """A layout in which every caption and a ``picture`` of (height, width) fit."""
    heads = Row("seat", "agent", "action", "return")
    widths = [
        max(
            text_width(row[column], _SIZE, bold=True)
            for row in {heads, *(row for caption in all_captions for row in caption.rows)}
        )
        for column in range(4)
    ]
    columns = [_MARGIN + sum(widths[:i]) + 22 * i for i in range(5)]
    titles = max(
        text_width(caption.title, _SIZE, bold=True) + text_width(caption.step, _SIZE) + 22 for caption in all_captions
    )
    width = max(columns[4] - 22 + _MARGIN, titles + 2 * _MARGIN, picture[1])
    return Layout((columns[0], columns[1], columns[2], columns[3]), int(np.ceil(width)), caption_height() + picture[0])


def caption_height() -> int:
    """The height of what is written above the picture."""
    return 4 * _LINE + _MARGIN


def draw_frame(
    picture: UInt8[np.ndarray, "height width 3"], caption: Caption, layout: Layout
) -> UInt8[np.ndarray, "layout_height layout_width 3"]:
    """The caption above the picture."""
    canvas = Canvas(layout.width, layout.height)
    y = _MARGIN / 2 + _LINE / 2
    canvas.text((_MARGIN, y), caption.title, _SIZE, bold=True)
    canvas.text((layout.width - _MARGIN, y), caption.step, _SIZE, colour=MUTED, anchor="rm")
    for place, name in zip(layout.columns, ("seat", "agent", "action", "return"), strict=True):
        canvas.text((place, y + _LINE), name, 11, colour=MUTED)
    for seat, row in enumerate(caption.rows):
        line = y + _LINE * (2 + seat)
        for place, text in zip(layout.columns, row, strict=True):
            colour = SEAT_COLOURS[seat] if place < layout.columns[2] else INK
            canvas.text((place, line), text, _SIZE, colour=colour, bold=True)
    canvas.stroke([(_MARGIN, caption_height() - 2), (layout.width - _MARGIN, caption_height() - 2)], FAINT)
    canvas.paste(picture, ((layout.width - picture.shape[1]) // 2, caption_height()))
    return canvas.picture()


@dataclasses.dataclass(frozen=True)
class Replay:
    """A pairing's episodes, ready to be drawn.

    Attributes:
        environment: the game.
        names: who sits in seat 0 and in seat 1.
        title: written on every picture.
        episodes: what they played.
    """

    environment: Environment
    names: tuple[str, str]
    title: str
    episodes: tuple[Episode, ...]

    @classmethod
    def play(cls, player: Player, agents: tuple[Agent, Agent], title: str, *, episodes: int, seed: int) -> "Replay":
        """So many episodes of ``agents`` in seats 0 and 1; ``seed`` decides their starts and what agents draw."""
        keys = jax.random.split(jax.random.key(seed), episodes)
        played = tuple(player.play(agents, key) for key in keys)
        return cls(player.environment, (agents[0].name, agents[1].name), title, played)

    def captions(self) -> list[list[Caption]]:
        """What is written on the pictures of each episode."""
        count = len(self.episodes)
        titles = [self.title + (f", episode {i} of {count}" if count > 1 else "") for i in range(1, count + 1)]
        return [
            captions(self.environment, self.names, episode, title)
            for episode, title in zip(self.episodes, titles, strict=True)
        ]

    def frames(self, scale: float = 1.0) -> "Frames":
        """The pictures of all episodes, drawn when they are asked for.

        Raises:
            InputError: the environment does not draw itself or draws no picture, or the scale is out of range.
        """
        check_range("scale", scale, *SCALE)
        every = [
            (state, caption, t == episode.length)
            for episode, written in zip(self.episodes, self.captions(), strict=True)
            for t, (state, caption) in enumerate(zip(episode.states, written, strict=True))
        ]
        check_draws(self.environment)
        first = picture_of(self.environment, every[0][0])
        layout = make_layout([caption for _, caption, _ in every], (first.shape[0], first.shape[1]))
        return Frames(self.environment, tuple(every), layout, scale)


@dataclasses.dataclass(frozen=True)
class Frames:
    """Pictures to be drawn one by one: the state, what is written above it, and whether it ends an episode."""

    environment: Environment
    every: tuple[tuple[State, Caption, bool], ...]
    layout: Layout
    scale: float

    def __len__(self) -> int:
        return len(self.every)

    @property
    def holds(self) -> list[int]:
        """For how many pictures each one stays: the end of an episode a little longer."""
        return [_HOLD if last else 1 for _, _, last in self.every]

    def draw(self, number: int) -> Image.Image:
        """One of them; every picture of a replay has the same size."""
        state, caption, _ = self.every[number]
        picture = picture_of(self.environment, state)
        room = (self.layout.height - caption_height(), self.layout.width)
        frame = Image.fromarray(draw_frame(_padded(picture, room), caption, self.layout))
        if self.scale == 1:
            return frame
        size = (max(round(frame.width * self.scale), 1), max(round(frame.height * self.scale), 1))
        return frame.resize(size, Image.Resampling.LANCZOS)


def picture_of(environment: Environment, state: State) -> np.ndarray:
    """A state, as its environment draws it.

    Raises:
        InputError: drawing it raises something, or gives no picture.
    """
    what = f"environment '{environment.name}': render"
    with running(what):
        picture = np.asarray(environment.render(state))
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        found = f"{picture.dtype}{list(picture.shape)}"
        raise InputError(f"{what} returns {found}; return a picture of uint8, [height, width, 3]")
    return picture


def _padded(picture: np.ndarray, room: tuple[int, int]) -> np.ndarray:
    """The picture in the middle of a white one of the given size (height, width), shrunk where it is larger."""
    image = Image.fromarray(picture)
    image.thumbnail((room[1], room[0]), Image.Resampling.LANCZOS)
    padded = Image.new("RGB", (room[1], room[0]), "white")
    padded.paste(image, ((room[1] - image.width) // 2, (room[0] - image.height) // 2))
    return np.asarray(padded)


def replay(
    run: Run,
    pairing: tuple[str, str],
    path: str | os.PathLike[str],
    *,
    run_seed: int | None = None,
    episodes: int = 1,
    seed: int = 0,
    greedy: bool = False,
    fps: float = 5.0,
    scale: float = 1.0,
) -> Replay:
    """Let two agents of a run play, and write a moving picture of it, as `rpax replay` does.

    A game of one's own is drawn by its method ``render``; :func:`rpax.register` it first where the run was loaded.

    Args:
        run: what :func:`rpax.train` or :func:`rpax.load` returned.
        pairing: who plays: the agent in seat 0 and the one in seat 1.
        path: the file, ending in ``.gif``, ``.webp`` or ``.mp4``; an existing one is replaced.
        run_seed: agents of this seed of the run; the first by default.
        episodes: how many are played, one after the other.
        seed: of the episodes: their starts and what agents draw.
        greedy: agents take their likeliest action instead of drawing one.
        fps: steps shown in a second.
        scale: size of the pictures, from 0.25 to 4.

    Returns:
        What was played; its ``episodes`` tell their states, actions, rewards and returns.

    Raises:
        InputError: something is wrong with what was asked for, or the game does not draw itself.

    >>> run = rpax.train("at-rpg", "matrix/figure-2", exact=True, updates=10)
    >>> played = rpax.replay(run, ("victim", "adversary"), "attack.webp", episodes=3)
    >>> [episode.length for episode in played.episodes]
    [1, 1, 1]
    """
    from rpax.runs.session import make_environment

    path = pathlib.Path(path)
    if path.suffix.removeprefix(".") not in FORMATS:
        raise InputError(f"file '{path}' ends in '{path.suffix}'; end its name in .{', .'.join(FORMATS)}")
    check_numbers(episodes, seed, fps, scale)
    agents = (run.agent(pairing[0], run_seed), run.agent(pairing[1], run_seed))
    check_seats(agents)
    player = Player(make_environment(run.config), greedy=greedy)
    check_draws(player.environment)
    with no_empty_folders(path.parent):
        check_writable(path.parent, path.suffix.removeprefix("."))
        played = Replay.play(player, agents, title_of(run, run_seed), episodes=episodes, seed=seed)
        write_moving_picture(path, played.frames(scale), fps)
    return played


def title_of(run: Run, run_seed: int | None) -> str:
    """What is written on pictures of a run's agents; the first seed's by default."""
    seed = run.config.seed_list[0] if run_seed is None else run_seed
    return f"{run.objective.name} on {run.config.environment}, seed {seed}"


def check_numbers(episodes: int, seed: int, fps: float, scale: float) -> None:
    """Refuse numbers out of range.

    Raises:
        InputError: one of them is.
    """
    for name, value in (("episodes", episodes), ("seed", seed)):
        least, most = _WHOLE[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InputError(f"{name} {shown(value)} is not allowed; give a whole number from {least} to {most}")
    check_range("fps", fps, *FPS)
    check_range("scale", scale, *SCALE)


def draws_itself(environment: Environment) -> bool:
    """Whether an environment has a method ``render`` of its own."""
    return getattr(environment.render, "__func__", None) is not Environment.render


def check_draws(environment: Environment) -> None:
    """Refuse an environment without a method ``render`` of its own.

    Raises:
        InputError: it has none.
    """
    if not draws_itself(environment):
        raise InputError(f"environment '{environment.name}' does not draw itself; give it a method render(state)")


def check_seats(agents: tuple[Agent, Agent]) -> None:
    """Refuse an agent in a seat that it does not play.

    Raises:
        InputError: one of them sits there.
    """
    for seat, agent in enumerate(agents):
        if seat not in agent.seats:
            raise InputError(
                f"pairing '{agents[0].name}:{agents[1].name}': agent '{agent.name}' plays seat "
                f"{', '.join(map(str, agent.seats))} only; name the agent of seat 0 first, then that of seat 1"
            )
