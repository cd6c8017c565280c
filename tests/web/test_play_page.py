"""Whole episodes that a person plays in a real browser, by keys, by touch and by clicks."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import pytest
from serving import playing, recordings_in, untrained

import rpax
from rpax.policies.functions import jax_policy
from rpax.policies.sources import find_agent

pytest.importorskip("fastapi", reason="needs the extra [web]")

from rpax.web import play_app, session
from rpax.web.game import Programs
from rpax.web.host import Host, Rules, usual_rate

ATTACK = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("COUNTDOWN", 0.2), ("RESUME", 0.1), ("FORCED", 0.01)):
        monkeypatch.setattr(session, name, seconds)


def host_of(environment: Any, out: pathlib.Path, partners: Any = None, **rules: Any) -> Host:
    found = partners or [("run:0:base_0", untrained(environment))]
    return Host(Programs(environment), found, Rules(**{"rate": usual_rate(environment), "seed": 1, **rules}), out)


class Player:
    """A person before the page."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        page.goto(url)
        self.wait_for("ready")

    def __enter__(self) -> "Player":
        return self

    def __exit__(self, *about: object) -> None:
        """Leave the page, which would look for its server."""
        self.page.goto("about:blank")

    def wait_for(self, *phases: str) -> None:
        self.page.wait_for_function("phases => phases.includes(rpax.test.play.phase())", arg=[*phases])

    def begin(self) -> None:
        self.page.keyboard.press("Enter")
        self.wait_for("playing")

    @property
    def frame(self) -> dict[str, Any]:
        return self.page.evaluate("rpax.test.play.frame()")

    @property
    def phase(self) -> str:
        return self.page.evaluate("rpax.test.play.phase()")

    def press(self, key: str) -> None:
        """Press a key, and wait until it has done something, or all is over."""
        before = self.page.evaluate("rpax.test.play.latencies.length")
        self.page.keyboard.press(key)
        self.page.wait_for_function(
            "before => rpax.test.play.latencies.length > before || rpax.test.play.phase() !== 'playing'", arg=before
        )

    def text(self, selector: str) -> str:
        return self.page.text_content(selector)


def test_a_soup_is_cooked_by_keys_and_its_recording_simulates_to_the_same_score(
    page: Any, tmp_path: pathlib.Path
) -> None:
    environment = rpax.make("overcooked/cramped_room", horizon=75)
    stay = environment.spaces[0].action_names.index("stay")
    partner = find_agent(jax_policy(lambda seen: jnp.full(len(seen), stay)), environment)
    with playing(host_of(environment, tmp_path, [("still", partner)])) as url, Player(page, url) as person:
        person.begin()
        # The pile of onions is left of the start, the pot above the middle, plates and the counter for orders below.
        onion = ["ArrowLeft", "Space", "ArrowRight", "ArrowUp", "Space"]
        plate = ["ArrowLeft", "ArrowDown", "KeyS", "KeyE", "KeyW", "KeyD", "ArrowUp"]
        for key in onion * 3 + plate:
            person.press(key)
        page.wait_for_function("() => rpax.test.play.shown().description.tiles.flat().some(tile => tile.left === 0)")
        for key in ["Space", "ArrowDown", "ArrowRight", "ArrowDown", "Space"]:
            person.press(key)
        assert person.frame["returns"] == [20, 20]
        assert (person.text("#return-0"), person.text("#return-1")) == ("20", "20")
        assert person.text("#news") == "You both have 20."
        person.wait_for("ended")
        page.wait_for_selector(".result")
        assert [cell.text_content() for cell in page.query_selector_all(".result b")] == ["20", "20"]
    (recording,) = recordings_in(tmp_path)
    assert recording.returns == (20, 20)
    assert recording.simulate().returns == (20, 20)
    assert recording.length == 75
    assert [event.kind for event in recording.events].count("delivery") == 1
    assert [(player.name, player.kind) for player in recording.players] == [("person", "person"), ("still", "agent")]


def test_storm_is_played_from_either_seat_with_pauses_and_touch(page: Any, tmp_path: pathlib.Path) -> None:
    environment = rpax.make("storm", horizon=16)
    with playing(host_of(environment, tmp_path, rate=10.0)) as url, Player(page, url) as person:
        page.click('.seat-choice[data-seat="1"]')
        assert "mine" in page.get_attribute("#seat-1", "class")
        person.page.click("button.first")
        person.wait_for("playing")
        person.press("ArrowUp")
        page.keyboard.press("Escape")
        person.wait_for("paused")
        before = person.frame["step"]
        page.wait_for_timeout(400)
        assert person.frame["step"] == before, "time stands still"
        assert page.text_content("#overlay h2") == "Paused"
        page.keyboard.press("Escape")
        person.wait_for("playing")
        for name in ("turn left", "turn right", "interact"):
            counted = page.evaluate("rpax.test.play.latencies.length")
            page.click(f'#pad [aria-label="{name}"]')
            page.wait_for_function("n => rpax.test.play.latencies.length > n", arg=counted)
        person.wait_for("ended")
        page.click("#overlay >> text=Swap seats")
        person.wait_for("playing")
        assert "mine" in page.get_attribute("#seat-0", "class")
        person.wait_for("ended")
        page.click("#overlay >> text=Play again")
        person.wait_for("playing")
        page.click("#tool-again")
        person.wait_for("starting", "countdown")
        person.wait_for("playing")
    recordings = recordings_in(tmp_path)
    assert [[player.kind for player in recording.players] for recording in recordings] == [
        ["agent", "person"],
        ["person", "agent"],
    ]
    names = recordings[0].action_names[1]
    done = [names[action] for action in recordings[0].actions[:, 1] if names[action] != "stay"]
    assert done == ["forward", "turn left", "turn right", "interact"]
    for recording in recordings:
        assert recording.simulate().returns == pytest.approx(recording.returns)


def test_keys_that_are_held_go_on_and_taps_do_not(page: Any, tmp_path: pathlib.Path) -> None:
    environment = rpax.make("storm", horizon=40)
    with playing(host_of(environment, tmp_path, rate=10.0)) as url, Player(page, url) as person:
        person.begin()
        page.keyboard.down("ArrowLeft")
        page.wait_for_timeout(750)
        page.keyboard.up("ArrowLeft")
        page.wait_for_timeout(250)
        for _ in range(2):
            page.keyboard.down("ArrowRight")
            page.wait_for_timeout(40)
            page.keyboard.up("ArrowRight")
            page.wait_for_timeout(260)
        person.wait_for("ended")
    (recording,) = recordings_in(tmp_path)
    turns = [recording.action_names[0][action] for action in recording.actions[:, 0]]
    assert turns.count("turn right") == 2
    assert 4 <= turns.count("turn left") <= 8, "at most one in each tenth of a second"


def test_hanabi_is_played_by_clicks_without_seeing_the_own_cards(page: Any, tmp_path: pathlib.Path) -> None:
    environment = rpax.make("hanabi/3x3")
    with playing(host_of(environment, tmp_path)) as url, Player(page, url) as person:
        person.begin()
        wait = environment.spaces[0].num_actions - 1
        assert page.locator("#hanabi .card.back").count() == 5
        shown = page.evaluate("rpax.test.play.shown().description.hands")
        assert all(place["card"] == {"hidden": True} for place in shown[0])
        card = page.locator("#hanabi .h-hand").first.locator("button.card").first
        assert card.get_attribute("aria-label").endswith("told nothing")
        card.click()
        assert page.locator(".h-choices button").count() == 2
        page.click('.h-choices [data-key="hint-rank"]')
        page.wait_for_function("() => rpax.test.play.frame().actions !== null")
        for number in range(60):
            page.wait_for_function(
                "wait => rpax.test.play.phase() === 'ended' || !rpax.test.play.frame().legal[wait]", arg=wait
            )
            if person.phase == "ended":
                break
            # A card to play, by its number and the key for the chosen button.
            page.keyboard.press(str(number % 5 + 1))
            if page.evaluate("document.activeElement.dataset.key") == "play":
                before = person.frame["step"]
                page.keyboard.press("Enter")
                page.wait_for_function(
                    "before => rpax.test.play.frame().step > before || rpax.test.play.phase() === 'ended'", arg=before
                )
        person.wait_for("ended")
        assert page.locator("#hanabi .card.back").count() == 0, "at the end everybody sees everything"
    (recording,) = recordings_in(tmp_path)
    episode = recording.simulate()
    assert episode.returns == recording.returns
    score = int(episode.states[-1].game.score)
    assert recording.returns == (score, score)
    names = [recording.action_names[0][action] for action in recording.actions[:, 0]]
    assert names[0].startswith("hint")
    assert any(name.startswith("play") for name in names)


def test_a_matrix_game_shows_its_payoffs_and_takes_a_number_or_a_click(page: Any, tmp_path: pathlib.Path) -> None:
    environment = rpax.make("matrix/figure-14")
    host = host_of(environment, tmp_path, [("column", find_agent([0.0, 1.0, 0.0], environment, (1,)))])
    with playing(host) as url, Player(page, url) as person:
        person.begin()
        assert "B, D: 2 and 3" in page.get_attribute("#canvas", "aria-label")
        person.press("2")
        person.wait_for("ended")
        page.wait_for_selector(".result")
        assert [cell.text_content() for cell in page.query_selector_all(".result b")] == ["2", "3"]
        assert page.locator("text=Swap seats").count() == 0, "the partner plays seat 1 only"
        page.click("#overlay >> text=Play again")
        person.wait_for("playing")
        page.click('#pad [aria-label="A"]')
        person.wait_for("ended")
    assert [recording.returns for recording in recordings_in(tmp_path)] == [(2, 3), (0, 0)]


def test_blind_partners_and_hostile_names_are_letters_and_text(page: Any, tmp_path: pathlib.Path) -> None:
    environment = rpax.make("matrix/figure-2")
    partners = [(f"{ATTACK}{n}", find_agent("uniform", environment)) for n in range(2)]
    for number, blind in enumerate((False, True)):
        host = host_of(environment, tmp_path / str(number), partners, label=ATTACK[:60], blind=blind, episodes=2)
        with playing(host) as url, Player(page, url) as person:
            names = [option.text_content() for option in page.query_selector_all("#partner option")]
            assert names == (["A", "B"] if blind else [name for name, _ in partners])
            person.begin()
            person.press("1")
            person.wait_for("ended")
            page.wait_for_selector("#overlay #partner")
            page.select_option("#overlay #partner", str(1 - int(page.input_value("#overlay #partner"))))
            person.wait_for("playing")
            person.press("1")
            person.wait_for("ended")
            page.wait_for_selector("text=All episodes are played. Thank you!")
            assert (ATTACK[:20] in page.content().replace("&lt;", "<").replace("&gt;", ">")) or blind
            assert page.evaluate("window.hacked === undefined")
            assert page.locator("img, main script").count() == 0
        found = recordings_in(tmp_path / str(number))
        assert {recording.players[1].name for recording in found} == {name for name, _ in partners}
        assert {recording.players[0].name for recording in found} == {ATTACK[:60]}


def test_a_lost_connection_is_told_and_found_again(page: Any, tmp_path: pathlib.Path) -> None:
    environment = rpax.make("matrix/figure-2")
    page.watch.expected.append("WebSocket connection to")
    with playing(host_of(environment, tmp_path)) as url, Player(page, url) as person:
        person.begin()
        page.evaluate("rpax.test.play.drop()")
        person.wait_for("lost")
        assert page.text_content("#overlay h2") == "Connection lost"
        page.click("text=Try now")
        person.wait_for("ready")
        assert "The episode that was in progress is not recorded." in page.text_content("#overlay")


def test_too_many_pages_are_told_so(page: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play_app, "MOST_PAGES", 1)
    with playing(host_of(rpax.make("matrix/figure-2"), tmp_path)) as url, Player(page, url):
        other = page.context.new_page()
        other.goto(url)
        other.wait_for_selector("text=1 pages are connected already")
        other.close()


def test_a_full_disk_is_told_on_the_page(page: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = host_of(rpax.make("matrix/figure-2"), tmp_path)

    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    with playing(host) as url, Player(page, url) as person:
        person.begin()
        with monkeypatch.context() as patch:
            patch.setattr(pathlib.Path, "write_text", full)
            person.press("1")
            page.wait_for_selector("text=the recording could not be written (No space left on device)")
        page.click("#overlay >> text=Play again")
        person.wait_for("playing")
        person.press("1")
        person.wait_for("ended")
    assert len(recordings_in(tmp_path)) == 2


@contextlib.contextmanager
def on_a_phone(browser: Any) -> Iterator[Any]:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, color_scheme="dark"
    )
    yield context.new_page()
    context.close()


@pytest.mark.slow
def test_fingers_play_on_a_small_screen(browser: Any, tmp_path: pathlib.Path) -> None:
    environment = rpax.make("overcooked/cramped_room", horizon=12)
    with playing(host_of(environment, tmp_path)) as url, on_a_phone(browser) as page, Player(page, url) as person:
        page.tap("button.first")
        person.wait_for("playing")
        page.tap('#pad [aria-label="down"]')
        page.wait_for_function("() => rpax.test.play.latencies.length > 0")
        wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], "nothing hangs over"
        person.wait_for("ended")
    (recording,) = recordings_in(tmp_path)
    assert recording.action_names[0].index("down") in recording.actions[:, 0]


@pytest.mark.parametrize("name", ["overcooked/cramped_room", "storm", "hanabi/3x3", "matrix/figure-14"])
def test_everybody_can_read_and_reach_everything(page: Any, tmp_path: pathlib.Path, name: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the dev extra is missing")
    environment = rpax.make(name)
    partners = [(f"run:0:base_{n}", untrained(environment, n)) for n in range(2)]
    with playing(host_of(environment, tmp_path, partners)) as url, Player(page, url) as person:
        for theme in ("light", "dark"):
            page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
            serious_findings(axe, page)
        person.begin()
        for theme in ("light", "dark"):
            page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
            serious_findings(axe, page)
        page.keyboard.press("Escape")
        person.wait_for("paused")
        serious_findings(axe, page)


def serious_findings(axe: Any, page: Any) -> None:
    violations = axe.Axe().run(page).response["violations"]
    found = [(each["id"], each["nodes"][0]["html"]) for each in violations if each["impact"] in ("serious", "critical")]
    assert not found
