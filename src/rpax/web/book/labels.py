"""Short names for the rows and columns of a grid, which tell the agents of a group apart."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Whose(NamedTuple):
    """Who an agent is.

    Attributes:
        group: whose agents stand side by side.
        run: the run's name.
        seed: which of its seeds.
        agent: the agent's name there.
    """

    group: str
    run: str
    seed: int
    agent: str


def labels_of(agents: Sequence[Whose]) -> list[str]:
    """Without what the names of a group's runs share: ``seed-0:base_0``, ``seed-1:base_0``; of one run ``0:base_0``.

    A run's only seed is left out where there are several runs. Agents of different groups may be called the same.
    """
    runs = {its.group: list(dict.fromkeys(each.run for each in agents if each.group == its.group)) for its in agents}
    called = {(group, run): rest for group, its in runs.items() for run, rest in zip(its, _rests(its), strict=True)}
    seeds = Counter((group, run) for group, run, _ in {its[:3] for its in agents})
    return [_label(its, called[its[:2]], seeds[its[:2]] > 1) for its in agents]


def _label(its: Whose, run: str, several_seeds: bool) -> str:
    parts = [run] if run else []
    if several_seeds or not run:
        parts.append(str(its.seed))
    return ":".join([*parts, its.agent])


def _rests(names: Sequence[str]) -> list[str]:
    """What tells names apart: their words without those that all begin or end with; nothing for a single name."""
    if len(names) == 1:
        return [""]
    # Words, with what stands between them.
    words = [re.split(r"([-_ /])", name) for name in names]
    first = _shared([each[:-1] for each in words])
    last = _shared([each[:first:-1] for each in words])
    rests = [each[first : len(each) - last] for each in words]
    if first and all(rest[0].isdigit() for rest in rests):
        # A number alone says little.
        rests = [[*each[first - 2 : first], *rest] for each, rest in zip(words, rests, strict=True)]
    return ["".join(rest) for rest in rests]


def _shared(words: Sequence[Sequence[str]]) -> int:
    """How many parts are the same in all at the beginning: whole words, each with what follows it."""
    same = len(list(itertools.takewhile(lambda parts: len({*parts}) == 1, zip(*words, strict=False))))
    return same - same % 2
