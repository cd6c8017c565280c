"""The page on which people play with agents: its files, and a WebSocket for each game in progress."""

import asyncio
import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fastapi

from rpax.web.host import Host
from rpax.web.messages import Excessive
from rpax.web.player_files import SCRIPTS
from rpax.web.server import add_static, make_app
from rpax.web.session import Message, Session

PAGE = "play.html"
FILES = (
    "theme.css",
    "play.css",
    *(name for name in SCRIPTS if name not in ("recording.js", "player.js")),
    "play_parts.js",
    "play_keys.js",
    "play_hanabi.js",
    "play_overlay.js",
    "play.js",
)
#: Pages that are connected at a time.
MOST_PAGES = 8
#: Seconds that a page may take to receive what it is sent.
_SEND_SECONDS = 10.0
_POLICY, _TRY_LATER = 1008, 1013


def make_play_app(
    host: Host,
    *,
    allowed_hosts: Iterable[str],
    token: str | None,
    clock: Callable[[], float] = time.monotonic,
    all_played: Callable[[], object] = lambda: None,
) -> fastapi.FastAPI:
    """The application for one host's session.

    Args:
        host: whose session.
        allowed_hosts: see :func:`rpax.web.server.make_app`.
        token: the same.
        clock: tells the time in seconds.
        all_played: called when the last episode of the session has ended and nobody is connected any more.
    """
    app = make_app(allowed_hosts=allowed_hosts, token=token, title="rpax play")
    add_static(app, FILES, PAGE)
    # Games of several pages do not wait for each other, not even while one compiles.
    threads = ThreadPoolExecutor(MOST_PAGES, thread_name_prefix="game")
    connected: set[fastapi.WebSocket] = set()

    @app.websocket("/play/socket")
    async def play(socket: fastapi.WebSocket) -> None:
        await socket.accept()
        if len(connected) >= MOST_PAGES:
            await socket.close(_TRY_LATER, f"{MOST_PAGES} pages are connected already")
            return
        connected.add(socket)
        try:
            await _Conversation(socket, Session(host, clock()), clock, threads).hold()
        finally:
            connected.discard(socket)
            if host.over and not connected:
                all_played()

    return app


class _Conversation:
    """A session and the page that it talks to.

    Args:
        socket: to the page.
        session: what answers.
        clock: tells the time in seconds.
        threads: in which the session computes.
    """

    def __init__(
        self, socket: fastapi.WebSocket, session: Session, clock: Callable[[], float], threads: ThreadPoolExecutor
    ) -> None:
        self._socket, self._session, self._clock, self._threads = socket, session, clock, threads

    async def hold(self) -> None:
        """Talk until the page goes, or has to."""
        receiving: asyncio.Task[Any] | None = None
        try:
            await self._send([self._session.welcome()])
            while True:
                receiving = receiving or asyncio.ensure_future(self._socket.receive())
                due = self._session.due
                wait = None if due is None else max(due - self._clock(), 0.0)
                done, _ = await asyncio.wait({receiving}, timeout=wait)
                if not done:
                    await self._send(await self._compute(lambda: self._session.tick(self._clock())))
                    continue
                message, receiving = receiving.result(), None
                if message["type"] == "websocket.disconnect":
                    return
                text = message.get("text")
                if text is None:
                    raise Excessive("messages must be text")
                await self._send(await self._compute(functools.partial(self._session.receive, text, self._clock())))
        except Excessive as excess:
            await self._close(str(excess))
        except _Gone:
            await self._close("")
        finally:
            if receiving is not None:
                receiving.cancel()

    async def _compute(self, answer: Callable[[], Iterable[Message]]) -> list[Message]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: list(answer()))

    async def _send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            text = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
            with _while_there():
                await asyncio.wait_for(self._socket.send_text(text), _SEND_SECONDS)

    async def _close(self, reason: str) -> None:
        with contextlib.suppress(_Gone), _while_there():
            await asyncio.wait_for(self._socket.close(_POLICY, reason), _SEND_SECONDS)


class _Gone(Exception):
    """The page does not take what it is sent, or is gone."""


@contextlib.contextmanager
def _while_there() -> Iterator[None]:
    """Send in the block; Starlette says in several ways that nobody is there."""
    try:
        yield
    except (TimeoutError, fastapi.WebSocketDisconnect, RuntimeError):
        raise _Gone from None
