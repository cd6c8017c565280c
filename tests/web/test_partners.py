"""Who can be played with: names as in cross-play, agents from a run and from elsewhere."""

import pathlib

import pytest

import rpax
from rpax.errors import InputError
from rpax.web.partners import partners_of, short_names


def test_base_agents_are_offered_by_the_names_of_cross_play(finished_run: pathlib.Path) -> None:
    run, environment = rpax.load(finished_run), rpax.make("matrix/figure-2")
    entrants = rpax.cross_play([run], episodes=2).names
    offered = [name for seed in (0, 1) for name, _ in partners_of(run, (), environment, seed)]
    assert offered == list(entrants)
    assert [name for name, _ in partners_of(run, (), environment)] == list(entrants[: len(entrants) // 2])


def test_agents_are_named_in_many_ways(finished_run: pathlib.Path) -> None:
    run, environment = rpax.load(finished_run), rpax.make("matrix/figure-2")
    names = ["victim", "1:victim", "manipulator", "uniform", f"{finished_run}:1:adversary", f"[{'0.5, ' * 60}0.5]"]
    with pytest.raises(InputError, match=r"agent .* has shape"):
        partners_of(run, names, environment)
    found = partners_of(run, names[:-1], environment)
    called = finished_run.name
    assert [name for name, _ in found] == [
        f"{called}:0:victim",
        f"{called}:1:victim",
        f"{called}:0:manipulator",
        "uniform",
        f"{finished_run}:1:adversary",
    ]
    assert [agent.name for _, agent in found][:3] == ["victim", "victim", "manipulator"]
    assert short_names(found) == [
        f"{called}:0:victim",
        f"{called}:1:victim",
        "manipulator",
        "uniform",
        "adversary",
    ]


def test_wrong_names_are_told(finished_run: pathlib.Path) -> None:
    run, environment = rpax.load(finished_run), rpax.make("matrix/figure-2")
    for name, told in (
        ("victm", "did you mean 'victim'"),
        ("victim@x", "update 'x' is no whole number"),
        ("scripted:nobody", "nobody"),
        ("nowhere:victim", "nowhere"),
        ("", "names no agent"),
    ):
        with pytest.raises(InputError, match=told):
            partners_of(run, [name], environment)
