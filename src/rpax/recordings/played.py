"""What people and agents got together: recordings of people who played, simulated again and counted."""

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from rpax.environments.protocol import Environment
from rpax.errors import InputError
from rpax.evaluation.statistics import episode_half_width
from rpax.recordings.reading import read_recording
from rpax.recordings.recording import SUFFIX, Recording
from rpax.recordings.simulating import Simulator

_MOST_FILES = 100_000


@dataclasses.dataclass(frozen=True)
class Together:
    """A person's episodes with one agent in one seat.

    Attributes:
        label: of the person.
        agent: the agent's name.
        seat: where the person sat.
        returns: [episodes, 2], the person's first.
    """

    label: str
    agent: str
    seat: int
    returns: np.ndarray

    @property
    def mean(self) -> tuple[float, float]:
        """The mean return of the person and of the agent."""
        person, agent = self.returns.mean(axis=0).tolist()
        return person, agent

    @property
    def half_width(self) -> tuple[float, float]:
        """Half the width of the 95 % interval of each, over episodes; NaN for a single one."""
        count = len(self.returns)
        std = self.returns.std(axis=0, ddof=1) if count > 1 else np.zeros(2)
        person, agent = episode_half_width(std, count).tolist()
        return person, agent

    def to_dict(self) -> dict[str, Any]:
        """Plain data; ``None`` for an interval that is not known."""
        found: dict[str, Any] = {"label": self.label, "agent": self.agent, "seat": self.seat}
        found["episodes"] = len(self.returns)
        for who, mean, half in zip(("person", "partner"), self.mean, self.half_width, strict=True):
            known = half == half
            found[who] = {
                "mean": mean,
                "ci_low": mean - half if known else None,
                "ci_high": mean + half if known else None,
            }
        return found


@dataclasses.dataclass(frozen=True)
class Played:
    """All that lies in a folder.

    Attributes:
        folder: the folder.
        together: one entry for each label, agent and seat, sorted.
        left_out: files that do not count, and why.
    """

    folder: str
    together: tuple[Together, ...]
    left_out: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `rpax cross-play --json` prints it."""
        left_out = [{"file": file, "why": why} for file, why in self.left_out]
        return {
            "folder": self.folder,
            "together": [each.to_dict() for each in self.together],
            "left_out": left_out,
        }


class _LeftOut(Exception):
    """A recording does not count; says why."""


def read_played(folder: str | os.PathLike[str], environment: Environment) -> Played:
    """The recordings of a folder of people who played with agents in ``environment``, each simulated again.

    Left out are episodes without a person or without an agent, those that were broken off, copies, and recordings that
    are damaged, of another environment, or do not show what their actions lead to.

    Args:
        folder: as `rpax play` writes it.
        environment: where they must have been played.

    Raises:
        InputError: there is no such folder, or no recording in it.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no folder '{folder}'; give the one that `rpax play` wrote to")
    files = sorted(file for file in folder.iterdir() if file.name.endswith(SUFFIX))
    if not files or len(files) > _MOST_FILES:
        number = f"more than {_MOST_FILES} recordings" if files else f"no recording (*{SUFFIX})"
        raise InputError(f"folder '{folder}' holds {number}; give one that `rpax play` wrote to")
    simulator = Simulator(environment)
    returns: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    seen: dict[tuple[Any, ...], str] = {}
    left_out = []
    for file in files:
        try:
            recording = read_recording(file)
            seat = _seat_of_person(recording)
            _check_counts(recording, environment)
            simulator.verify(recording)
            same = seen.setdefault((recording.key, recording.actions.tobytes()), file.name)
            if same != file.name:
                raise _LeftOut(f"is the same episode as {same}")
        except (InputError, _LeftOut) as error:
            left_out.append((str(file), " ".join(str(error).split())))
            continue
        own, other = recording.returns[seat], recording.returns[1 - seat]
        label, agent = recording.players[seat].name, recording.players[1 - seat].name
        returns.setdefault((label, agent, seat), []).append((own, other))
    together = tuple(Together(*who, np.array(found)) for who, found in sorted(returns.items()))
    return Played(str(folder), together, tuple(left_out))


def _seat_of_person(recording: Recording) -> int:
    kinds = [player.kind for player in recording.players]
    if sorted(kinds) != ["agent", "person"]:
        raise _LeftOut(f"is no episode of a person with an agent, but of {' and '.join(kinds)}")
    return kinds.index("person")


def _check_counts(recording: Recording, environment: Environment) -> None:
    """Whether a recording is of a whole episode in the environment; shaped rewards make no other one."""
    made = recording.environment
    if made.name != environment.name:
        raise _LeftOut(f"is of '{made.name}', not of '{environment.name}'")
    if "end" not in [event.kind for event in recording.events]:
        raise _LeftOut("was broken off")


def played_table(played: Played) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table of people with agents."""
    from rpax.reports.cross_play_tables import number_and_interval

    head = ["person", "with", "person's seat", "episodes", "return of the person", "of the agent"]
    lines = []
    for each in played.together:
        both = [
            number_and_interval(mean, mean - half, mean + half)
            for mean, half in zip(each.mean, each.half_width, strict=True)
        ]
        lines.append([each.label, each.agent, str(each.seat), str(len(each.returns)), *both])
    return head, lines
