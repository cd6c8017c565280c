"""The socket of the page against whoever connects to it."""

import contextlib
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from serving import playing, recordings_in
from small_game import Ring

from rpax.policies.sources import find_agent

pytest.importorskip("fastapi", reason="needs the extra [web]")

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from rpax.web import messages, play_app, session
from rpax.web.game import Programs
from rpax.web.host import Host, Rules


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("plays")


@pytest.fixture(scope="module")
def url(folder: pathlib.Path) -> Iterator[str]:
    """A game of thirty steps, twenty a second."""
    environment = Ring(horizon=30)
    partners = [("uniform", find_agent("uniform", environment))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "COUNTDOWN", 0.05)
        with playing(Host(Programs(environment), partners, Rules(rate=20.0, seed=1), folder)) as address:
            yield address
            with talking(address) as socket:
                assert received(socket)["type"] == "welcome", "whatever was sent, it serves on"


def talking(url: str, **options: Any) -> ClientConnection:
    address = url.replace("http", "ws", 1) + "play/socket"
    return connect(address, origin=url.rstrip("/"), open_timeout=20, compression=None, **options)  # type: ignore[arg-type]


def received(socket: ClientConnection) -> dict[str, Any]:
    return json.loads(socket.recv(20))


def say(socket: ClientConnection, kind: str, **fields: Any) -> None:
    socket.send(json.dumps({"type": kind, **fields}))


def closed(socket: ClientConnection) -> tuple[int, str]:
    """How the server ends it."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            socket.recv(20)
    frame = socket.protocol.close_rcvd
    return (frame.code, frame.reason) if frame else (1006, "")


def test_an_episode_is_played_at_its_rate_and_recorded(url: str, folder: pathlib.Path) -> None:
    with talking(url) as socket:
        assert received(socket)["environment"] == "small/ring"
        say(socket, "start", partner=0, seat=0)
        assert [received(socket)["type"] for _ in range(2)] == ["begin", "frame"]
        before = time.monotonic()
        frames = [received(socket) for _ in range(30)]
        passed = time.monotonic() - before
        end = received(socket)
    assert [frame["step"] for frame in frames] == [*range(1, 31)]
    assert passed > 1.4, "thirty windows of 50 ms"
    assert end["type"] == "end"
    recording = recordings_in(folder)[-1]
    assert recording.simulate(Ring(horizon=30)).returns == pytest.approx(end["returns"])


def test_games_of_several_pages_go_on_side_by_side(url: str, folder: pathlib.Path) -> None:
    before = len(recordings_in(folder))
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(talking(url)) for _ in range(3)]
        for socket in sockets:
            say(socket, "start", partner=0, seat=1)
        ends = []
        for socket in sockets:
            while (message := received(socket))["type"] != "end":
                pass
            ends.append(message)
    assert len(ends) == 3
    assert len(recordings_in(folder)) == before + 3


def test_nonsense_is_refused_and_the_game_goes_on(url: str) -> None:
    with talking(url) as socket:
        received(socket)
        say(socket, "start", partner=0, seat=0)
        for text in ("{", "null", '{"type": "act"}', "\x00", "[" * 500):
            socket.send(text)
        kinds = [received(socket)["type"] for _ in range(12)]
        assert kinds.count("error") == 5
        assert kinds.count("frame") >= 4


def test_floods_nonsense_and_other_kinds_of_messages_end_only_their_connection(url: str) -> None:
    with talking(url) as bystander:
        received(bystander)
        with talking(url) as socket:
            with contextlib.suppress(ConnectionClosed):
                for _ in range(10 * messages.MOST_A_SECOND):
                    say(socket, "pause", paused=True)
            assert closed(socket) == (1008, "more than 60 messages a second")
        with talking(url) as socket:
            for _ in range(messages.MOST_REFUSED + 1):
                socket.send("nonsense")
            assert closed(socket) == (1008, "more than 20 messages that were refused")
        with talking(url) as socket:
            socket.send(b"\x00\x01")
            assert closed(socket) == (1008, "messages must be text")
        with talking(url) as socket:
            socket.send("a" * 2049)
            assert closed(socket)[0] == 1009
        say(bystander, "start", partner=0, seat=0)
        assert received(bystander)["type"] == "begin"


def test_who_goes_away_in_a_game_leaves_nothing_behind(url: str, folder: pathlib.Path) -> None:
    before = len(recordings_in(folder))
    for _ in range(2 * play_app.MOST_PAGES):
        with talking(url) as socket:
            received(socket)
            say(socket, "start", partner=0, seat=0)
            received(socket)
            socket.socket.close()
    with talking(url) as socket:
        assert received(socket)["type"] == "welcome"
    assert len(recordings_in(folder)) == before


def test_more_pages_than_may_be_are_turned_away(url: str) -> None:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(talking(url)) for _ in range(play_app.MOST_PAGES)]
        for socket in sockets:
            received(socket)
        with talking(url) as socket:
            assert closed(socket) == (1013, f"{play_app.MOST_PAGES} pages are connected already")


def test_every_file_of_the_page_is_served_and_named_in_it(url: str) -> None:
    import re
    import urllib.request

    with urllib.request.urlopen(url) as answer:
        page = answer.read().decode()
    named = re.findall(r'(?:src|href)="static/([^"]+)"', page)
    assert sorted(named) == sorted(play_app.FILES)
    assert [name for name in named if name.endswith(".js")] == [name for name in play_app.FILES if name.endswith(".js")]
    for name in named:
        with urllib.request.urlopen(f"{url}static/{name}") as answer:
            assert answer.status == 200
    assert "<script>" not in page
    assert "style=" not in page
