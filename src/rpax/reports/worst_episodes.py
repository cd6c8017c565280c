"""The worst of many episodes of a victim under attack, as moving pictures."""

import dataclasses
import pathlib
from typing import Any

import jax

from rpax.environments.protocol import Environment
from rpax.evaluation.episodes import Player
from rpax.objectives.plan import Pairing
from rpax.reports.moving_picture import check_writable, write_moving_picture
from rpax.reports.replay import Replay, draws_itself
from rpax.runs.agent import Agent


@dataclasses.dataclass(frozen=True)
class WorstEpisode:
    """An episode that was drawn.

    Attributes:
        file: the moving picture.
        pairing: who sat in seat 0 and in seat 1.
        returns: of both seats.
        length: how many steps it lasted.
        rank: 1 for the worst.
        candidates: of how many episodes.
    """

    file: pathlib.Path
    pairing: Pairing
    returns: tuple[float, float]
    length: int
    rank: int
    candidates: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "file": str(self.file),
            "seat_0": self.pairing.seat_0,
            "seat_1": self.pairing.seat_1,
            "returns": list(self.returns),
            "length": self.length,
            "rank": self.rank,
            "of": self.candidates,
        }


def draw_worst_episodes(
    environment: Environment,
    victim: Agent,
    adversary: Agent,
    seats: tuple[int, ...],
    folder: pathlib.Path,
    *,
    count: int,
    candidates: int,
    seed: int,
    title: str,
    fps: float = 5.0,
) -> tuple[WorstEpisode, ...]:
    """Play ``candidates`` episodes, and draw those with the lowest returns of the victim, the worst first.

    Args:
        environment: the game.
        victim: sits in ``seats``.
        adversary: sits opposite.
        seats: the victim's.
        folder: of the files ``worst-1-SEAT0-SEAT1.gif`` and so on; those of an earlier call are replaced.
        count: how many are drawn; none where the game does not draw itself.
        candidates: how many are played, half of them from either seat of a victim that plays both.
        seed: of the episodes.
        title: written on every picture.
        fps: steps shown in a second.
    """
    if not count or not draws_itself(environment):
        return ()
    check_writable(folder, "gif")
    for old in folder.glob("worst-*.gif"):
        old.unlink()
    player = Player(environment, greedy=False)
    keys = jax.random.split(jax.random.key(seed), candidates)
    # The one who is named first sits in seat 0.
    sitting = [(victim, adversary) if seat == 0 else (adversary, victim) for seat in seats]
    played = []
    for number in range(candidates):
        seat = seats[number % len(seats)]
        episode = player.play(sitting[number % len(seats)], keys[number])
        played.append((episode.returns[seat], number))
    worst = []
    for rank, (_, number) in enumerate(sorted(played)[:count], start=1):
        # The same key plays the same episode again, so that only those that are drawn are kept.
        pair = sitting[number % len(seats)]
        pairing = Pairing("victim", "adversary") if pair[0] is victim else Pairing("adversary", "victim")
        episode = player.play(pair, keys[number])
        path = folder / f"worst-{rank}-{pairing.seat_0}-{pairing.seat_1}.gif"
        replay = Replay(
            environment, (pairing.seat_0, pairing.seat_1), f"{title}, worst {rank} of {candidates}", (episode,)
        )
        write_moving_picture(path, replay.frames(), fps)
        worst.append(WorstEpisode(path, pairing, episode.returns, episode.length, rank, candidates))
    return tuple(worst)
