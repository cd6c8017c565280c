"""A session as a machine: texts and invented times in, messages out."""

import functools
import json
import pathlib
from typing import Any

import jax
import numpy as np
import pytest
from small_game import Ring

import rpax
from rpax.environments.protocol import Environment
from rpax.errors import InputError
from rpax.policies.sources import find_agent
from rpax.recordings.recording import Recording
from rpax.runs.agent import Agent
from rpax.web import messages
from rpax.web.game import Programs
from rpax.web.host import Host, Rules, _letters, idle_action, usual_rate
from rpax.web.messages import Act, Excessive, Pause, Refused, Start, parse_message
from rpax.web.session import COUNTDOWN, FORCED, RESUME, Session

#: A tenth of a second, and a bit more, so that sums of it are later than what is due.
WINDOW = 0.1
STAY = 1


def uniform(environment: Environment) -> Agent:
    return find_agent("uniform", environment)


@functools.cache
def ring_programs(horizon: int) -> Programs:
    """Compiled once for all tests."""
    return Programs(Ring(horizon=horizon))


def host_of(environment: Environment, out: pathlib.Path, agent: Any = None, **rules: Any) -> Host:
    found = find_agent(agent, environment, None) if agent is not None else uniform(environment)
    programs = ring_programs(environment.horizon) if isinstance(environment, Ring) else Programs(environment)
    return Host(programs, [("run:0:base_0", found)], Rules(**{"seed": 3, **rules}), out)


def text(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


class Page:
    """A page with a clock of its own."""

    def __init__(self, host: Host) -> None:
        self.now = 100.0
        self.session = Session(host, self.now)

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        number = {"number": 7} if kind == "act" else {}
        return list(self.session.receive(text(kind, **fields, **number), self.now))

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """What comes meanwhile, if the session is called when it asks for it."""
        end, found = self.now + seconds, []
        while (due := self.session.due) is not None and due <= end:
            self.now = max(due, self.now)
            found += list(self.session.tick(self.now))
        self.now = end
        return found


@pytest.fixture
def ring(tmp_path: pathlib.Path) -> Page:
    return Page(host_of(Ring(horizon=20), tmp_path / "plays"))


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in found]


def test_time_runs_after_the_countdown(ring: Page) -> None:
    begin, frame = ring.send("start", partner=0, seat=0)
    assert (begin["type"], begin["countdown"], begin["names"]) == ("begin", COUNTDOWN, ["person", "uniform"])
    assert (frame["type"], frame["step"], frame["returns"]) == ("frame", 0, (0.0, 0.0))
    assert ring.wait(COUNTDOWN + 0.99 * WINDOW) == []
    frames = ring.wait(5 * WINDOW)
    assert [message["step"] for message in frames] == [1, 2, 3, 4, 5]
    assert {message["actions"][0] for message in frames} == {STAY}, "nobody pressed a key"


def test_a_key_makes_a_step_at_once(ring: Page) -> None:
    ring.send("start", partner=0, seat=0)
    assert ring.send("act", action=2, step=0) == [], "the countdown is running"
    ring.wait(COUNTDOWN + 0.5 * WINDOW)
    (frame,) = ring.send("act", action=2, step=0)
    assert (frame["step"], frame["actions"][0]) == (1, 2)
    assert frame["answers"] == 7
    assert ring.send("act", action=0, step=1) == [], "the window had its step"
    (frame,) = ring.wait(0.51 * WINDOW)
    assert (frame["step"], frame["actions"][0]) == (2, 0), "it comes at the beginning of the next one"


def test_an_episode_ends_and_is_recorded(ring: Page, tmp_path: pathlib.Path) -> None:
    ring.send("start", partner=0, seat=1)
    found = ring.wait(COUNTDOWN + 30 * WINDOW)
    assert kinds(found) == ["frame"] * 20 + ["end"]
    assert found[-2]["over"]
    assert found[-1]["problem"] is None
    assert (found[-1]["steps"], found[-1]["played"], found[-1]["all_played"]) == (20, 1, False)
    (file,) = (tmp_path / "plays").iterdir()
    assert file.name.endswith(".rpax.json")
    recording = Recording.load(file)
    assert [(player.name, player.kind) for player in recording.players] == [
        ("run:0:base_0", "agent"),
        ("person", "person"),
    ]
    assert recording.simulate(Ring(horizon=20)).returns == pytest.approx(found[-1]["returns"])
    assert recording.returns == pytest.approx(found[-1]["returns"])
    assert [message["returns"] for message in found[:-1]] == [
        pytest.approx(pair) for pair in recording.simulate(Ring(horizon=20)).returns_so_far[1:]
    ]
    assert ring.wait(10) == []
    assert ring.send("act", action=0, step=20) == [], "it was on its way"
    assert kinds(ring.send("start", partner=0, seat=0)) == ["begin", "frame"]


def test_an_episode_is_recorded_before_the_page_knows_its_end(ring: Page, tmp_path: pathlib.Path) -> None:
    ring.send("start", partner=0, seat=1)
    ring.wait(COUNTDOWN + 19.5 * WINDOW)
    assert not (tmp_path / "plays").exists()
    frame = next(iter(ring.session.tick(ring.now + WINDOW)))
    assert (frame["step"], frame["over"]) == (20, True)
    (file,) = (tmp_path / "plays").iterdir()
    assert Recording.load(file).length == 20
    assert kinds(ring.send("start", partner=0, seat=0)) == ["begin", "frame"], "nobody has to wait for the end"
    assert len([*(tmp_path / "plays").iterdir()]) == 1


def test_pauses_stop_the_time(ring: Page) -> None:
    ring.send("start", partner=0, seat=0)
    ring.wait(COUNTDOWN + 2.5 * WINDOW)
    assert ring.send("pause", paused=True) == [{"type": "paused"}]
    assert ring.send("pause", paused=True) == []
    assert ring.wait(60) == []
    assert ring.send("act", action=0, step=2) == []
    assert ring.send("pause", paused=False) == [{"type": "go", "countdown": RESUME}]
    assert ring.wait(RESUME + 0.5 * WINDOW) == []
    assert [message["step"] for message in ring.wait(2 * WINDOW)] == [3, 4]


def test_restarting_and_swapping_seats_begin_another_episode_and_record_nothing(
    ring: Page, tmp_path: pathlib.Path
) -> None:
    first = ring.send("start", partner=0, seat=0)
    ring.wait(COUNTDOWN + 3 * WINDOW)
    begin, frame = ring.send("start", partner=0, seat=1)
    assert (begin["seat"], begin["names"], frame["step"]) == (1, ["uniform", "person"], 0)
    assert frame["values"] != first[1]["values"] or first[0]["seat"] != begin["seat"]
    assert not (tmp_path / "plays").exists()
    assert ring.wait(COUNTDOWN) == []


def test_the_same_seed_plays_the_same_episodes(tmp_path: pathlib.Path) -> None:
    pages = [Page(host_of(Ring(), tmp_path / str(n), seed=seed)) for n, seed in enumerate((1, 1, 2))]
    for page in pages:
        page.send("start", partner=0, seat=0)
        page.wait(10)
    keys = [Recording.load(next((tmp_path / str(n)).iterdir())).key for n in range(3)]
    assert keys[0] == keys[1] != keys[2]
    expected = jax.random.key_data(jax.random.fold_in(jax.random.key(1), 0))
    assert list(keys[0]) == np.asarray(expected).tolist()


def test_games_of_turns_wait_for_the_person(tmp_path: pathlib.Path) -> None:
    environment = rpax.make("matrix/figure-14")
    page = Page(host_of(environment, tmp_path, rate=0.0))
    begin, frame = page.send("start", partner=0, seat=0)
    assert begin["countdown"] == 0
    assert frame["legal"] == [True, True]
    assert page.wait(1000) == []
    assert page.send("act", action=1, step=5) == [], "that was decided about another state"
    (frame,) = page.send("act", action=1, step=0)
    assert frame["over"]
    payoffs = {0: (1.0, 1.0), 1: (2.0, 3.0), 2: (-1.0, -1.0)}
    assert frame["rewards"] == payoffs[frame["actions"][1]], "the row B of the paper's figure 14"
    (end,) = page.wait(0)
    assert end["returns"] == frame["rewards"]


def test_hanabi_hides_the_own_cards_until_the_end_and_waits_by_itself(tmp_path: pathlib.Path) -> None:
    environment = rpax.make("hanabi/3x3")
    page = Page(host_of(environment, tmp_path, rate=0.0))
    _, frame = page.send("start", partner=0, seat=0)
    assert frame["values"][:5] == [1] * 5
    assert len({*frame["values"][5:10]}) > 1, "the partner's cards are seen"
    wait = environment.spaces[0].num_actions - 1
    assert page.send("act", action=wait, step=0) == [], "it is not legal for the one whose turn it is"
    (frame,) = page.send("act", action=int(np.argmax(frame["legal"])), step=0)
    assert np.flatnonzero(frame["legal"]).tolist() == [wait]
    assert page.wait(0.99 * FORCED) == []
    (frame,) = page.wait(0.02 * FORCED)
    assert (frame["step"], frame["actions"][0]) == (2, wait)
    for _ in range(200):
        legal = np.flatnonzero(frame["legal"])
        found = page.send("act", action=int(legal[0]), step=frame["step"]) + page.wait(FORCED)
        frame = [message for message in found if message["type"] == "frame"][-1]
        if found[-1]["type"] == "end":
            break
        assert {*frame["values"][:5]} <= {0, 1}
    assert frame["over"]
    assert frame["values"] == Recording.load(next(tmp_path.iterdir())).frames[-1].tolist(), "nothing is hidden any more"


def test_advice_is_what_the_adviser_would_do(tmp_path: pathlib.Path) -> None:
    environment = rpax.make("matrix/figure-2")
    adviser = find_agent([0.25, 0.75], environment, (0,))
    host = Host(Programs(environment), [("x", uniform(environment))], Rules(rate=0.0), tmp_path, adviser)
    page = Page(host)
    assert page.send("start", partner=0, seat=0)[1]["advice"] == [0.25, 0.75]
    assert page.send("start", partner=0, seat=1)[1]["advice"] is None, "the adviser does not play seat 1"


def test_blind_partners_have_letters_and_recordings_their_names(tmp_path: pathlib.Path) -> None:
    environment, orders = Ring(horizon=2), set()
    for number in range(20):
        partners = [(f"run:0:base_{n}", uniform(environment)) for n in range(3)]
        host = Host(ring_programs(2), partners, Rules(blind=True, partner=2), tmp_path / str(number))
        page = Page(host)
        welcome = page.session.welcome()
        assert [partner["name"] for partner in welcome["partners"]] == ["A", "B", "C"]
        assert host.partners[welcome["partner"]].name == "run:0:base_2"
        orders.add(tuple(partner.name for partner in host.partners))
        if number == 0:
            sent = [welcome, *page.send("start", partner=1, seat=0), *page.wait(10)]
            assert "base_" not in json.dumps(sent)
            name = Recording.load(next((tmp_path / "0").iterdir())).players[1].name
            assert name == host.partners[1].name
    assert len(orders) > 1
    assert [_letters(number) for number in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        *("A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA")
    ]


def test_after_the_last_episode_no_other_begins(tmp_path: pathlib.Path) -> None:
    host = host_of(Ring(horizon=2), tmp_path, episodes=2)
    page, other = Page(host), Page(host)
    for wanted in (False, True):
        page.send("start", partner=0, seat=0)
        assert page.wait(10)[-1]["all_played"] == wanted
    (refused,) = other.send("start", partner=0, seat=0)
    assert refused == {"type": "error", "text": "all episodes of this session are played", "over": True}
    assert len([*tmp_path.iterdir()]) == 2


def full_disk(*arguments: Any, **named: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_told_and_the_game_goes_on(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Page(host_of(Ring(horizon=2), tmp_path / "plays"))
    write = pathlib.Path.write_text
    monkeypatch.setattr(pathlib.Path, "write_text", full_disk)
    page.send("start", partner=0, seat=0)
    end = page.wait(10)[-1]
    assert end["problem"] == (
        "the recording could not be written (No space left on device); it is tried again after the next episode"
    )
    assert capsys.readouterr().err == (
        f"rpax: {tmp_path / 'plays'} cannot be written (No space left on device); make room there. "
        "Recordings that wait for the next try: 1\n"
    )
    monkeypatch.setattr(pathlib.Path, "write_text", write)
    page.send("start", partner=0, seat=0)
    assert page.wait(10)[-1]["problem"] is None
    assert len([*(tmp_path / "plays").iterdir()]) == 2, "both are there now, and nothing else"


def test_what_waits_is_written_at_the_end_and_what_was_dropped_counts_as_lost(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = host_of(Ring(horizon=2), tmp_path / "plays")
    page = Page(host)
    monkeypatch.setattr("rpax.web.host._MOST_UNWRITTEN", 2)
    with monkeypatch.context() as patch:
        patch.setattr(Recording, "save", full_disk)
        for _ in range(3):
            page.send("start", partner=0, seat=0)
            page.wait(10)
        assert host.write_waiting() == (3, "No space left on device")
    assert capsys.readouterr().err.splitlines()[-1].endswith("wait for the next try: 2")
    assert host.write_waiting() == (1, "too many waited")
    assert len([*(tmp_path / "plays").iterdir()]) == 2


def test_a_partner_that_fails_ends_the_game_only(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[int] = []

    def fail_later(observations: np.ndarray) -> np.ndarray:
        calls.append(1)
        if len(calls) > 3:
            raise ValueError("secret-name broke")
        return np.ones(len(observations), int)

    for blind in (False, True):
        calls.clear()
        page = Page(host_of(Ring(), tmp_path, agent=fail_later, blind=blind))
        page.send("start", partner=0, seat=0)
        found = page.wait(10)
        assert found[-1]["type"] == "error"
        assert found[-1]["over"]
        assert ("secret-name" in found[-1]["text"]) != blind
        assert "secret-name" in capsys.readouterr().err
        assert page.session.due is None


NONSENSE = [
    "",
    "null",
    "[]",
    "{}",
    "7",
    '"start"',
    "{",
    "[" * 2000,
    '{"type": "start"}',
    '{"type": "start", "partner": 0}',
    '{"type": "start", "partner": 0, "seat": 0, "more": 1}',
    '{"type": "start", "partner": 0, "seat": true}',
    '{"type": "start", "partner": 0, "seat": 2}',
    '{"type": "start", "partner": -1, "seat": 0}',
    '{"type": "start", "partner": 1e400, "seat": 0}',
    '{"type": "start", "partner": 1.0, "seat": 0}',
    '{"type": "start", "partner": ' + "9" * 1500 + ', "seat": 0}',
    '{"type": "start", "partner": "../x", "seat": 0}',
    '{"type": "start", "type": "start", "partner": 0, "seat": 0}',
    '{"type": "act", "action": NaN, "step": 0, "number": 0}',
    '{"type": "act", "action": null, "step": 0, "number": 0}',
    '{"type": "pause", "paused": 1}',
    '{"type": "__class__"}',
    '{"type": ["act"]}',
    '{"type": "<script>alert(1)</script>"}',
    "\ud800",
]


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_is_refused_and_changes_nothing(ring: Page, nonsense: str) -> None:
    ring.send("start", partner=0, seat=0)
    (message,) = ring.session.receive(nonsense, ring.now)
    assert message["type"] == "error"
    assert not message["over"]
    assert "\n" not in message["text"]
    assert len(message["text"]) < 200
    assert kinds(ring.wait(COUNTDOWN + WINDOW)) == ["frame"]


def test_actions_that_are_none_are_refused(ring: Page) -> None:
    ring.send("start", partner=0, seat=0)
    ring.wait(COUNTDOWN)
    for action in (-1, 3, 10**9):
        (message,) = ring.send("act", action=action, step=0)
        assert message["text"] == f"action {action} is none; give a number from 0 to 2"


def test_floods_end_the_connection(ring: Page) -> None:
    for _ in range(messages.MOST_A_SECOND):
        ring.send("pause", paused=True)
    with pytest.raises(Excessive, match="more than 60 messages a second"):
        ring.send("pause", paused=True)
    ring.now += 10
    for _ in range(messages.MOST_REFUSED):
        ring.send("nothing")
    with pytest.raises(Excessive, match="more than 20 messages that were refused"):
        ring.send("nothing")


def test_as_many_messages_as_are_allowed_may_go_on_for_ever(ring: Page) -> None:
    for _ in range(500):
        ring.now += 1.001 / messages.MOST_A_SECOND
        ring.send("pause", paused=True)


def test_messages_are_what_they_say() -> None:
    assert parse_message(text("start", partner=1, seat=0)) == Start(1, 0)
    assert parse_message(text("act", action=3, step=7, number=1)) == Act(3, 7, 1)
    assert parse_message(text("pause", paused=False)) == Pause(False)
    with pytest.raises(Refused, match="the message lacks 'step'"):
        parse_message(text("act", action=3))


def test_rules_that_are_none_are_told_in_a_line(tmp_path: pathlib.Path) -> None:
    ring, matrix = Ring(), rpax.make("matrix/figure-2")
    wrong: list[tuple[Environment, dict[str, Any], str]] = [
        (ring, {"label": ""}, "label '' is not allowed; give 1 to 60 printable characters"),
        (ring, {"label": "a" * 61}, r"label .a+… is not allowed"),
        (ring, {"label": "a\nb"}, "is not allowed"),
        (ring, {"seat": 2}, "seat 2 is not allowed; give 0 or 1"),
        (ring, {"rate": 21.0}, "rate 21 is not allowed; give 0.5 to 20 steps a second, or 0 to wait"),
        (ring, {"rate": float("nan")}, "rate nan is not allowed"),
        (ring, {"episodes": 0}, "episodes 0 is not allowed; give a whole number from 1 to 10000"),
        (ring, {"seed": -1}, "seed -1 is not allowed"),
        (matrix, {"rate": 10.0}, "rate 10 needs an action for those who do nothing, 'matrix/figure-2' has none"),
    ]
    for environment, rules, told in wrong:
        with pytest.raises(InputError, match=told):
            host_of(environment, tmp_path, **rules)
    rows = find_agent([0.5, 0.5], matrix, (0,))
    with pytest.raises(InputError, match="seat 0 is not free: agent 'agent' plays seat 0 only; take the other one"):
        Host(Programs(matrix), [("rows", rows)], Rules(rate=0.0), tmp_path)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match=r"recordings cannot be written to .*; give another --out"):
        host_of(ring, file / "plays")


def test_how_fast_games_are() -> None:
    rates = {
        "storm": 2.0,
        "hanabi/3x3": 0.0,
        "extensive/g1": 0.0,
        "matrix/figure-2": 0.0,
    }
    assert {name: usual_rate(rpax.make(name)) for name in rates} == rates
    assert usual_rate(rpax.make("storm", horizon=400)) == 10
    assert usual_rate(Ring(horizon=3)) == 0.5
    assert idle_action(Ring().spaces[0]) == STAY
    assert idle_action(rpax.SeatSpace((1,), 3)) is None
