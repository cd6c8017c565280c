"""The canvas shows the states of the Python environments: read back through the player's hook in a real browser."""

import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
import shown_states
from random_play import play_randomly, record_all

import rpax
from rpax.evaluation.episodes import Episode
from rpax.recordings.recording import Recording, Seated, make_recording

_COUNT = 200
#: So many recordings are handed over at once.
_AT_ONCE = 25
_READ_BACK = """async (documents) => {
  const element = document.getElementById("first");
  const found = [];
  for (const text of documents) {
    const player = new rpax.Player(element, await rpax.loadRecording(JSON.parse(text)));
    const states = [];
    for (let t = 0; t <= player.recording.length; t += 1) {
      player.show(t);
      const { step, description } = player.shown();
      delete description.policies;
      const { recording } = player;
      states.push({ step, description, returns: recording.returnsSoFar(t), rewards: recording.rewards(t) });
    }
    found.push(states);
    player.destroy();
  }
  return JSON.stringify(found);
}"""


def read_back(page: Any, recordings: list[Recording]) -> list[list[dict[str, Any]]]:
    """What the canvas of a player shows of every state of every recording."""
    # A small canvas draws as much, sooner.
    page.set_viewport_size({"width": 240, "height": 400})
    found = []
    for start in range(0, len(recordings), _AT_ONCE):
        texts = [recording.to_json() for recording in recordings[start : start + _AT_ONCE]]
        found += json.loads(page.evaluate(_READ_BACK, texts))
    return found


def check_shown(
    page: Any,
    recordings: list[Recording],
    episodes: list[Episode],
    expected: Callable[[Episode, int], dict[str, Any]],
) -> int:
    """Compare every state; returns how many there were."""
    count = 0
    for episode, states in zip(episodes, read_back(page, recordings), strict=True):
        assert [state["step"] for state in states] == [*range(episode.length + 1)]
        for t, state in enumerate(states):
            assert state["description"] == expected(episode, t), f"state {t}"
            assert state["returns"] == episode.returns_so_far[t].tolist()
        paid = np.array([state["rewards"] for state in states[1:]]).reshape(-1, 2)
        np.testing.assert_array_equal(paid, episode.rewards)
        count += len(states)
    return count


def seen_in_kitchens(description: dict[str, Any]) -> set[str]:
    pots = [tile for line in description["tiles"] for tile in line if tile["kind"] == "pot"]
    told = {"ready" if pot["left"] == 0 else "cooking" for pot in pots if pot["left"] is not None}
    return told | {"soup in hand" for cook in description["cooks"] if cook["held"]["cooked"]}


def seen_in_storm(description: dict[str, Any]) -> set[str]:
    told = {"beam" for _ in description["lit"]} | ({"ice"} if description["frozen"] else set())
    return told | {colour for agent in description["agents"] for colour, count in agent["coins"].items() if count}


def seen_in_hanabi(description: dict[str, Any]) -> set[str]:
    told = {"points"} if description["score"] else set()
    told |= {"lost a life"} if description["lives"] < 3 else set()
    return told | {"told" for hand in description["hands"] for place in hand if place["told"]["colours"]}


_KITCHENS = (shown_states.overcooked, seen_in_kitchens, {"cooking", "ready", "soup in hand"})
_STORM = (shown_states.storm, seen_in_storm, {"beam", "ice", "red", "blue"})


@pytest.mark.parametrize(
    ("name", "options", "exploring", "about"),
    [
        ("overcooked/cramped_room", {"horizon": 25}, 150, _KITCHENS),
        pytest.param("overcooked/forced_split_pot", {"horizon": 25}, 150, _KITCHENS, marks=pytest.mark.slow),
        pytest.param(
            "overcooked_v2/grounded_coord_simple",
            {"horizon": 25},
            0,
            (shown_states.overcooked_v2, None, set()),
            marks=pytest.mark.slow,
        ),
        ("storm", {}, 0, _STORM),
        pytest.param("storm/sabotage", {"coins": "shuffled", "freeze": 2}, 0, _STORM, marks=pytest.mark.slow),
        ("hanabi/3x3", {}, 0, (shown_states.hanabi, seen_in_hanabi, {"points", "lost a life", "told"})),
    ],
)
def test_every_state_of_200_random_episodes_is_shown_as_it_is(player_page, name, options, exploring, about):
    oracle, what, wanted = about
    environment = rpax.make(name, **options)
    played = play_randomly(environment, _COUNT, seed=1, exploring=exploring)
    recordings = record_all(environment, played)
    episodes = [episode for episode, _ in played]
    seen: set[str] = set()

    def expected(episode: Episode, t: int) -> dict[str, Any]:
        description = oracle(environment, episode.states[t])
        seen.update(what(description) if what else ())
        return description

    count = check_shown(player_page, recordings, episodes, expected)
    assert count == sum(episode.length + 1 for episode in episodes)
    assert seen >= wanted, "the episodes come to whatever can be shown"


@pytest.mark.parametrize("name", ["matrix/figure-14", "matrix/figure-2", "extensive/g1", "extensive/g3"])
def test_every_table_of_200_random_episodes_is_shown_as_it_is(player_page, name):
    environment = rpax.make(name)
    played = play_randomly(environment, _COUNT, seed=2)
    episodes = [episode for episode, _ in played]
    recordings = record_all(environment, played)
    check_shown(player_page, recordings, episodes, lambda episode, t: shown_states.table(environment, episode, t))


@pytest.mark.parametrize(
    ("name", "oracle"),
    [("overcooked/cramped_room", shown_states.overcooked), ("overcooked_v2/cramped_room", shown_states.overcooked_v2)],
)
def test_a_whole_long_episode_is_shown_as_it_is(player_page, name, oracle):
    environment = rpax.make(name)
    ((episode, key),) = play_randomly(environment, 1, seed=3)
    recordings = record_all(environment, [(episode, key)])
    count = check_shown(player_page, recordings, [episode], lambda episode, t: oracle(environment, episode.states[t]))
    assert count == 401


def test_kitchens_show_whatever_can_lie_there(player_page):
    """States of OvercookedV2 that random play does not come to: any item anywhere, pots at any stage."""
    environment: Any = rpax.make("overcooked_v2/grounded_coord_simple")
    random = np.random.default_rng(0)
    start = jax.tree.map(np.asarray, environment.reset(jax.random.key(0)))
    items = [0, 1, 4, 16, 64, 4 + 16, 3 * 4, 2 + 16 * 3, 1 + 2 + 4 + 16 + 64, 1 + 2 + 3 * 16]
    holds = np.isin(start.game.grid[..., 0], (1, 5))
    timed = np.isin(start.game.grid[..., 0], (5, 7))
    states = []
    for _ in range(200):
        grid = start.game.grid.copy()
        grid[..., 1] = np.where(holds, random.choice(items, holds.shape), 0)
        grid[..., 2] = np.where(timed, random.integers(0, 21, holds.shape), 0)
        agents = start.game.agents.replace(
            dir=random.integers(0, 4, 2), inventory=random.choice(np.array(items, np.int32), 2)
        )
        recipe = np.int32(random.choice([12, 3 * 16, 4 + 16 + 64]))
        states.append(start._replace(game=start.game.replace(grid=grid, agents=agents, recipe=recipe)))
    episode = Episode(tuple(states), np.zeros((199, 2), np.int32), np.zeros((199, 2)))
    recording = make_recording(environment, episode, (Seated("a"), Seated("b")), jax.random.key(0))

    def oracle(episode: Episode, t: int) -> dict[str, Any]:
        return shown_states.overcooked_v2(environment, episode.states[t])

    check_shown(player_page, [recording], [episode], oracle)
