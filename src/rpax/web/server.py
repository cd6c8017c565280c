"""The server of the pages: on this computer only unless asked otherwise, with nothing to read but what is listed."""

import contextlib
import errno
import logging
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterable, Mapping
from json import dumps
from typing import Any, NamedTuple

import fastapi
import uvicorn
from fastapi.responses import JSONResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from rpax.cli.output import say
from rpax.errors import InputError
from rpax.web.guard import ANY_ADDRESS, Guard
from rpax.web.player_files import read_static

#: Where pages are served unless asked otherwise, and how many ports further on are tried.
PORT, _PORTS = 8421, 20
#: Bytes that a message through a WebSocket, and a request's first line with its headers, may have.
MOST_MESSAGE, _MOST_HEAD = 2048, 16_384
#: Connections that are served, and that are open at all.
_MOST_SERVED, _MOST_OPEN = 64, 128
#: Seconds in which a connection must have sent a request.
_REQUEST_SECONDS = 10.0
_LOCAL = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("", "0.0.0.0", "::")
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Listening(NamedTuple):
    """A port that is ours.

    Attributes:
        socket: the listening one.
        url: of the first page, with the token where one is needed.
        allowed_hosts: for :func:`make_app`.
        token: for :func:`make_app`.
    """

    socket: socket.socket
    url: str
    allowed_hosts: tuple[str, ...]
    token: str | None


def listen(host: str = "127.0.0.1", port: int | None = None) -> Listening:
    """Take a port, and make a token unless only this computer can connect.

    Args:
        host: the address to listen at.
        port: 0 for any that is free; by default 8421 or the next one that is free.

    Raises:
        InputError: there is no such address or port here, or it is taken.
    """
    if port is not None and not 0 <= port < 2**16:
        raise InputError(f"port {port} is not allowed; give a whole number from 0 to 65535")
    ports = [port] if port is not None else [*range(PORT, PORT + _PORTS), 0]
    for number in ports:
        with contextlib.suppress(_Taken):
            listening = _bind(host, number)
            break
    else:
        raise InputError(f"port {port} at {host} is taken; give another --port, or 0 for any that is free")
    token = None if host in _LOCAL else secrets.token_urlsafe(24)
    name = _reached_by(host)
    shown = f"[{name}]" if ":" in name else name
    query = "" if token is None else f"?token={token}"
    url = f"http://{shown}:{listening.getsockname()[1]}/{query}"
    return Listening(listening, url, _hosts_of(host), token)


class _Taken(Exception):
    """Somebody else listens there."""


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(f"host '{host}' is no address of this computer ({error}); give one, like 0.0.0.0") from None
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_MOST_OPEN)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise _Taken from None
        reason = error.strerror or error
        raise InputError(f"host '{host}', port {port}: cannot listen there ({reason}); give others") from None
    return listening


def _reached_by(host: str) -> str:
    """The name that others reach this computer by."""
    return socket.gethostname() if host in _EVERYWHERE else host


def _hosts_of(host: str) -> tuple[str, ...]:
    if host not in _EVERYWHERE:
        return (*_LOCAL, host)
    return (*_LOCAL, socket.gethostname(), f"{socket.gethostname()}.local", ANY_ADDRESS)


def make_app(*, allowed_hosts: Iterable[str], token: str | None, title: str) -> fastapi.FastAPI:
    """An application without pages, around which stands a :class:`~rpax.web.guard.Guard`.

    Input errors that its routes raise are answered as ``{"error": …}`` with status 400.

    Args:
        allowed_hosts: see :class:`~rpax.web.guard.Guard`.
        token: what everybody must show, if anything.
        title: of the application.
    """
    app = fastapi.FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_middleware(Guard, hosts=frozenset(allowed_hosts), token=token)  # type: ignore[arg-type]

    async def answer(request: fastapi.Request, error: Exception) -> Response:
        return JSONResponse({"error": " ".join(str(error).split())}, status_code=400)

    app.add_exception_handler(InputError, answer)
    return app


def add_static(app: fastapi.FastAPI, names: Iterable[str], page: str) -> None:
    """Serve files of the package: ``page`` as ``/``, others as ``/static/NAME``. They are read now, and nothing later.

    Args:
        app: the application.
        names: of the others.
        page: the file of the page.
    """
    files: Mapping[str, Response] = {name: _static_file(name) for name in names}
    first = _static_file(page)

    @app.get("/")
    async def root() -> Response:
        return first

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        return files[name] if name in files else Response(status_code=404)


def _static_file(name: str) -> Response:
    kind = _KINDS[os.path.splitext(name)[1]]
    return Response(read_static(name), media_type=kind, headers={"cache-control": "no-cache"})


def run_server(
    app: fastapi.FastAPI, listening: Listening, *, what: str, open_browser: bool, quiet: bool, json: bool = False
) -> None:
    """Serve until interrupted or stopped. The address is printed on stdout, once it answers.

    Args:
        app: what is served.
        listening: where.
        what: is to be seen there, for the line on stderr.
        open_browser: show it in the user's browser, where there is one.
        quiet: say nothing else.
        json: print the address as a JSON document.

    Raises:
        KeyboardInterrupt: after a signal.
    """
    print(dumps({"url": listening.url}) if json else listening.url, flush=True)
    say(f"{what}: open the address above in a browser; Ctrl-C ends it", quiet=quiet)
    if open_browser and _has_screen():
        threading.Thread(target=_open, args=(listening.url,), daemon=True).start()
    make_server(app).run(sockets=[listening.socket])


def stop_server(app: fastapi.FastAPI) -> None:
    """Let the server of ``app`` end as soon as it can; called while it serves."""
    app.state.server.should_exit = True


def make_server(app: fastapi.FastAPI) -> uvicorn.Server:
    """A server with bounds on everything that strangers can send; to be run with ``sockets=[listening.socket]``."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    app.state.server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=_Connection,
            ws="websockets-sansio",
            ws_max_size=MOST_MESSAGE,
            ws_per_message_deflate=False,
            h11_max_incomplete_event_size=_MOST_HEAD,
            limit_concurrency=_MOST_SERVED,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=1,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            loop="asyncio",
        )
    )
    return app.state.server


class _Connection(H11Protocol):
    """A connection that ends where no request comes, and where there are too many."""

    def connection_made(self, transport: Any) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > _MOST_OPEN:
            transport.abort()
            return
        self._seen: tuple[Any, int] = (None, 0)
        self.loop.call_later(_REQUEST_SECONDS, self._end_if_stuck)

    def _end_if_stuck(self) -> None:
        """End the connection if half a request, or half an answer, stays what it was when last looked at."""
        if self.transport.is_closing() or self not in self.connections:  # it has become a WebSocket
            return
        now = (self.cycle, self.transport.get_write_buffer_size())
        waits_for_us = self.cycle is not None and not self.cycle.response_complete and not now[1]
        if now == self._seen and not waits_for_us and self.timeout_keep_alive_task is None:
            self.transport.abort()
            return
        self._seen = now
        self.loop.call_later(_REQUEST_SECONDS, self._end_if_stuck)


def _has_screen() -> bool:
    """Whether a browser can show something here; browsers in terminals would take the terminal."""
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _open(url: str) -> None:
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(url)
