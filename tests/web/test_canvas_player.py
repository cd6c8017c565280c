"""The player of recordings, driven as a reader would."""

import base64
import copy
import json
import zlib
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from random_play import play_randomly, record_all

import rpax
from rpax.environments.protocol import Environment, SeatSpace, Transition
from rpax.recordings.recording import Recording, Seated, make_recording

_SHOW = """([id, text, options]) =>
  rpax.showRecording(document.getElementById(id), JSON.parse(text), options).then((player) => Boolean(player))"""


def record(name: str, seed: int = 0, **options: Any) -> Recording:
    environment = rpax.make(name, **options)
    return record_all(environment, play_randomly(environment, 1, seed))[0]


@pytest.fixture(scope="module")
def kitchen() -> Recording:
    """A short episode with known probabilities and a hostile name."""
    environment = rpax.make("overcooked/cramped_room", horizon=40)
    ((episode, key),) = play_randomly(environment, 1, seed=5)
    chances = np.tile([0.5, 0.25, 0.125, 0.125, 0, 0], (40, 1))
    players = (Seated("<img src=x onerror=alert(1)>"), Seated("Ada", "person"))
    return make_recording(environment, episode, players, key, probabilities=(chances, None))


def show(page: Any, recording: Recording, place: str = "first", **options: Any) -> None:
    assert page.evaluate(_SHOW, [place, recording.to_json(), options])


def step_of(page: Any, number: int = 0) -> int:
    return page.evaluate("(number) => rpax.test.players[number].shown().step", number)


def test_keys_step_leap_and_go_to_the_ends(player_page, kitchen):
    page = player_page
    show(page, kitchen, step=3)
    page.locator(".rpax-player").focus()
    presses = ["ArrowRight", "ArrowRight", "ArrowLeft", "PageDown", "PageUp", "End", "ArrowRight", "Home", "ArrowLeft"]
    expected = [4, 5, 4, 14, 4, 40, 40, 0, 0]
    found = []
    for press in presses:
        page.keyboard.press(press)
        found.append(step_of(page))
    assert found == expected
    # The scrub bar takes the same keys.
    page.get_by_role("slider", name="step").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    assert step_of(page) == 40
    assert page.get_by_role("slider", name="step").get_attribute("aria-valuetext") == "step 40 of 40"


def test_it_plays_to_the_end_pauses_and_begins_again(player_page, kitchen):
    page = player_page
    show(page, kitchen)
    page.get_by_label("speed").select_option("16")
    page.locator(".rpax-player").focus()
    page.keyboard.press("Space")
    assert page.evaluate("rpax.test.players[0].playing")
    page.until("rpax.test.players[0].shown().step === 40")
    page.until("!rpax.test.players[0].playing")
    page.get_by_label("speed").select_option("0.5")
    page.get_by_role("button", name="play").click()
    assert step_of(page) < 40
    assert page.get_by_role("button", name="pause").count() == 1
    page.keyboard.press("ArrowRight")
    assert not page.evaluate("rpax.test.players[0].playing")
    before = step_of(page)
    page.wait_for_timeout(450)
    assert step_of(page) == before


def test_the_speed_is_that_of_the_clock(player_page):
    recording = record("overcooked/cramped_room")
    page = player_page
    show(page, recording)
    # A clock of the test's own: 4× are 20 steps in a second of frames 50 ms apart.
    steps = page.evaluate(
        """() => {
          const player = rpax.test.players[0];
          const real = window.requestAnimationFrame;
          let next = null;
          window.requestAnimationFrame = (call) => ((next = call), 1);
          player.setSpeed(4);
          player.play();
          for (let time = 0; time <= 1000; time += 50) { const call = next; call(time); }
          player.pause();
          window.requestAnimationFrame = real;
          return player.shown().step;
        }"""
    )
    assert steps == 20


def test_scrubbing_and_buttons(player_page, kitchen):
    page = player_page
    show(page, kitchen)
    slider = page.get_by_role("slider", name="step")
    slider.fill("17")
    assert step_of(page) == 17
    page.get_by_role("button", name="step on").click()
    page.get_by_role("button", name="step back").click()
    page.get_by_role("button", name="step back").click()
    assert step_of(page) == 16
    page.get_by_role("button", name="last state").click()
    assert step_of(page) == 40
    page.get_by_role("button", name="first state").click()
    assert step_of(page) == 0
    assert page.locator(".rpax-step").inner_text() == "step 0 of 40"


def test_events_are_marked_named_and_can_be_jumped_to(player_page):
    recording = next(each for seed in range(30) if len((each := record("hanabi/3x3", seed)).events) > 3)
    page = player_page
    show(page, recording)
    assert page.locator(".rpax-mark").count() == len(recording.events)
    page.locator(".rpax-player").focus()
    steps = sorted({event.step for event in recording.events})
    for step in steps:
        page.keyboard.press("]")
        assert step_of(page) == step
        said = page.locator(".rpax-happening").inner_text()
        assert all(event.text in said for event in recording.events if event.step == step)
    page.keyboard.press("[")
    assert step_of(page) == steps[-2]
    page.locator(".rpax-mark").first.click()
    assert step_of(page) == recording.events[0].step
    page.get_by_role("button", name="event after").click()
    assert step_of(page) == steps[1]


def test_probabilities_actions_and_returns_are_those_of_the_recording(player_page, kitchen):
    page = player_page
    show(page, kitchen, step=7)
    seats = page.locator(".rpax-seat")
    shares = seats.nth(0).locator(".rpax-chance-share").all_inner_texts()
    assert shares == ["50 %", "25 %", "13 %", "13 %", "0 %", "0 %"]
    names = kitchen.action_names[0]
    chosen = seats.nth(0).locator(".rpax-chance.chosen .rpax-chance-name").all_inner_texts()
    assert chosen == [names[kitchen.actions[7, 0]]]
    done, doing = names[kitchen.actions[6, 1]], names[kitchen.actions[7, 1]]
    assert seats.nth(1).locator(".rpax-seat-action").inner_text() == f"did {done}, does {doing} next"
    assert not seats.nth(1).locator(".rpax-chances").is_visible(), "nobody knows a person's probabilities"
    assert seats.nth(1).locator(".rpax-seat-name").inner_text() == "Ada (person)"
    assert seats.nth(0).locator(".rpax-seat-return").inner_text() == "return 0"
    # What a name holds is text.
    assert seats.nth(0).locator(".rpax-seat-name").inner_text() == "<img src=x onerror=alert(1)>"
    assert page.locator("#first img").count() == 0


def test_two_players_are_scrubbed_together(player_page, kitchen):
    page = player_page
    show(page, kitchen)
    show(page, record("overcooked/cramped_room", horizon=25), place="second")
    page.evaluate("() => { window.unlink = rpax.linkPlayers(rpax.test.players[0], rpax.test.players[1]); }")
    page.get_by_role("slider", name="step").nth(0).fill("12")
    assert [step_of(page, 0), step_of(page, 1)] == [12, 12]
    page.get_by_role("slider", name="step").nth(1).fill("20")
    assert [step_of(page, 0), step_of(page, 1)] == [20, 20]
    # The shorter one waits at its end for the longer one.
    page.get_by_label("speed").nth(1).select_option("16")
    page.get_by_role("button", name="play").nth(1).click()
    page.until("rpax.test.players[0].shown().step === 40 && !rpax.test.players[1].playing")
    assert step_of(page, 1) == 25
    page.get_by_label("speed").nth(1).select_option("0.5")
    page.get_by_role("button", name="play").nth(1).click()
    assert max(step_of(page, 0), step_of(page, 1)) < 25, "both begin again"
    page.get_by_role("button", name="pause").nth(0).click()
    assert not page.evaluate("rpax.test.players[1].playing")
    page.get_by_role("slider", name="step").nth(1).fill("25")
    page.evaluate("window.unlink()")
    page.get_by_role("slider", name="step").nth(0).fill("3")
    assert [step_of(page, 0), step_of(page, 1)] == [3, 25]
    page.evaluate("rpax.test.players[0].destroy()")
    assert page.locator(".rpax-player").count() == 1


def test_the_canvas_is_crisp_told_in_words_and_drawn_again_in_another_theme(browser, player_url, kitchen):
    context = browser.new_context(viewport={"width": 700, "height": 900}, device_scale_factor=2, color_scheme="light")
    page = context.new_page()
    page.goto(player_url)
    page.wait_for_load_state()
    show(page, kitchen, step=9)
    page.wait_for_timeout(100)
    canvas = page.locator("canvas")
    width, shown = canvas.evaluate("(canvas) => [canvas.width, canvas.clientWidth]")
    assert width == 2 * shown
    assert "Seat 0 in column" in canvas.get_attribute("aria-label")

    def corner() -> list[int]:
        page.wait_for_timeout(100)
        get = "(canvas) => [...canvas.getContext('2d').getImageData(canvas.width / 12, 40, 1, 1).data]"
        return canvas.evaluate(get)

    light = corner()
    page.emulate_media(color_scheme="dark")
    dark = corner()
    assert sum(dark[:3]) < sum(light[:3]) - 100
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert corner() == light
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.emulate_media(color_scheme="light")
    assert corner() == dark
    page.set_viewport_size({"width": 360, "height": 800})
    page.wait_for_timeout(150)
    width, shown = canvas.evaluate("(canvas) => [canvas.width, canvas.clientWidth]")
    assert width == 2 * shown < 2 * 360
    assert page.evaluate("document.documentElement.scrollWidth <= 360"), "nothing is wider than the window"
    context.close()


def test_cooks_are_painted_where_they_are(player_page, kitchen):
    """The description is one thing, what is painted from it another: the seats' colours are in their cells."""
    page = player_page
    show(page, kitchen)
    colours = [(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)]
    episode = kitchen.simulate()
    # Of the facings 0 up, 1 down, 2 right, 3 left: the step ahead and the one to its right.
    ahead, aside = [(0, -1), (0, 1), (1, 0), (-1, 0)], [(1, 0), (-1, 0), (0, 1), (0, -1)]
    for t in range(0, 41, 8):
        state = episode.states[t]
        for seat, colour in enumerate(colours):
            facing = int(state.facing[seat])
            # Beside the hat, between eye and hand.
            across, down = (0.05 * ahead[facing][i] + 0.27 * aside[facing][i] for i in (0, 1))
            column, line = state.position[seat].tolist()
            pixel = page.evaluate(
                """([t, x, y]) => {
                  const player = rpax.test.players[0];
                  player.show(t);
                  const { canvas } = player;
                  const cell = Math.min(canvas.width / 5, canvas.height / 4);
                  const [left, top] = [(canvas.width - 5 * cell) / 2, (canvas.height - 4 * cell) / 2];
                  return [...canvas.getContext("2d").getImageData(left + x * cell, top + y * cell, 1, 1).data];
                }""",
                [t, column + 0.5 + across, line + 0.5 + down],
            )
            np.testing.assert_allclose(pixel[:3], colour, atol=3)


@pytest.mark.parametrize("name", ["overcooked/cramped_room", "storm", "hanabi/3x3", "matrix/figure-14"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nobody_is_kept_out(player_page, name, theme):
    """What axe finds wrong seriously: names, roles, contrast."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the dev extra is missing")
    options = {"horizon": 20} if name.startswith("overcooked") else {}
    environment = rpax.make(name, **options)
    ((episode, key),) = play_randomly(environment, 1, seed=5)
    chances = [np.full((episode.length, space.num_actions), 1 / space.num_actions) for space in environment.spaces]
    recording = make_recording(
        environment, episode, (Seated("one"), Seated("two")), key, probabilities=(chances[0], chances[1])
    )
    page = player_page
    page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
    show(page, recording, step=1, label="Two agents")
    found = axe.Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


class Drawn(Environment):
    """Counts to two, and shows so."""

    def __init__(self, name: str) -> None:
        self.name, self.horizon = name, 2
        self.spaces = (SeatSpace((1,), 2), SeatSpace((1,), 2))

    def reset(self, key: Any) -> Any:
        return jnp.zeros((), jnp.int32)

    def step(self, key: Any, state: Any, actions: Any) -> Transition:
        return Transition(state + 1, jnp.zeros(2), state + 1 >= 2)

    def observe(self, state: Any) -> Any:
        return jnp.zeros(1), jnp.zeros(1)


class Painted(Drawn):
    """Draws itself: one column is lit."""

    def render(self, state: Any) -> np.ndarray:
        picture = np.zeros((2, 3, 3), np.uint8)
        picture[:, int(state)] = (200, 100, 50)
        return picture


def test_environments_of_ones_own_show_their_pictures(player_page):
    environment = Painted("mine/painted")
    recording = record_all(environment, play_randomly(environment, 1, seed=0))[0]
    assert len(recording.scene["pictures"]) == 3
    page = player_page
    show(page, recording)
    for t in (2, 0, 1):
        page.evaluate("(t) => rpax.test.players[0].show(t)", t)
        page.wait_for_timeout(150)
        lit = page.evaluate(
            """() => {
              const { canvas } = rpax.test.players[0];
              const { width, height } = canvas;
              const read = (x) => canvas.getContext("2d").getImageData(x, height / 2, 1, 1).data[0];
              return [0, 1, 2].map((i) => read(((i + 0.5) * width) / 3));
            }"""
        )
        assert int(np.argmax(lit)) == t
        assert lit[t] == pytest.approx(200, abs=2)


def test_environments_without_pictures_show_what_is_done(player_page):
    environment = Drawn("mine/undrawn")
    recording = record_all(environment, play_randomly(environment, 1, seed=0))[0]
    page = player_page
    show(page, recording, step=1)
    shown = page.evaluate("rpax.test.players[0].shown().description")
    assert shown == {"actions": [str(action) for action in recording.actions[0].tolist()]}


def test_policies_stand_in_the_margins_of_a_table(player_page):
    page = player_page
    recording = record("matrix/figure-2")
    show(page, recording, policies=[[0.5, 0.5], [1, 0, 0]])
    assert page.evaluate("rpax.test.players[0].shown().description.policies") == [[0.5, 0.5], [1, 0, 0]]


def damaged(document: dict[str, Any]) -> list[tuple[str, Any]]:
    """Documents that are none."""

    def changed(**changes: Any) -> dict[str, Any]:
        return {**copy.deepcopy(document), **changes}

    frames = document["frames"]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = {"type": "u8", "data": base64.b64encode(packer.compress(bytes(50_000_000)) + packer.flush()).decode()}
    return [
        ("a list", []),
        ("nothing", None),
        ("format", changed(format=2)),
        ("length", changed(length=1e9)),
        ("negative length", changed(length=-1)),
        ("no numbers", changed(frames={"fields": frames["fields"], "data": {"type": "u8", "data": "AAAA"}})),
        ("no base64", changed(frames={"fields": frames["fields"], "data": {"type": "u8", "data": "§"}})),
        ("more numbers", changed(frames={**frames, "data": bomb})),
        ("too few fields", changed(frames={**frames, "fields": frames["fields"] - 1})),
        ("huge", changed(frames={**frames, "fields": 10**9})),
        ("scene of the prototype", changed(scene={"kind": "constructor"})),
        ("another scene", changed(scene={"kind": "storm", "size": 5, "coins": [], "marked": None, "freeze": 1})),
        ("scene without tiles", changed(scene={"kind": "overcooked"})),
        ("players", changed(players=[{"name": 3, "kind": "agent"}] * 2)),
        ("events", changed(events=[[10**6, None, "end", "late"]])),
        ("rewards", changed(rewards=[[1, "a", "b"]])),
        ("actions", changed(action_names=[["only"], ["one"]])),
        ("probabilities", changed(probabilities=[{"type": "u8", "data": "AAAA"}, None])),
    ]


def test_damaged_documents_are_refused_in_words(player_page, kitchen):
    for about, document in damaged(json.loads(kitchen.to_json())):
        made = player_page.evaluate(
            "(document_) => rpax.showRecording(document.getElementById('first'), document_).then(Boolean)", document
        )
        assert not made, about
    said = player_page.locator("#first .rpax-problem").all_inner_texts()
    assert len(said) == len(damaged(json.loads(kitchen.to_json())))
    assert all(text.startswith("This is no recording that can be shown: ") for text in said), said
    assert player_page.evaluate("rpax.test.players.length") == 0
