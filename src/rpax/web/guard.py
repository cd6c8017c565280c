"""Who is let in, before any page's own code runs: the right host, origin and token, and messages of bounded size.

A page of somebody else's in the same browser can send requests here, and by a name that leads to this computer (DNS
rebinding) even read the answers. So the Host header must be an address of this server, and an Origin, which browsers
send along with what a page asks for and with every WebSocket, must be this server's own.
"""

import asyncio
import hmac
import ipaddress
import urllib.parse
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

#: Bytes that a request's path with its query, and its body, may have.
MOST_TARGET, MOST_BODY = 2048, 65_536
#: Fields of a query that are looked at for the token.
_MOST_FIELDS = 20
#: Seconds in which the whole body must come.
BODY_SECONDS = 10.0
#: What pages may load and do.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: Stands among hosts for all IP addresses.
ANY_ADDRESS = "*"
_METHODS = ("GET", "HEAD", "POST")
_HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_Application = Any


class Refusal(NamedTuple):
    """Why somebody is not let in.

    Attributes:
        status: of the answer.
        reason: one line for whoever reads it.
    """

    status: int
    reason: str


class TooLarge(Exception):
    """A body has more bytes than are allowed."""


class TooSlow(Exception):
    """A body does not come to its end."""


class Guard:
    """An ASGI application around another one that lets only the right requests through.

    Args:
        application: the other one.
        hosts: names and addresses by which this server may be called, without the port, IPv6 without brackets;
            ``ANY_ADDRESS`` among them for every IP address: no name leads there, so that nothing can be rebound.
        token: what everybody must show, once in the query and from then on as a cookie; ``None`` for nothing.
    """

    def __init__(self, application: _Application, *, hosts: Collection[str], token: str | None) -> None:
        self._application, self._token = application, token
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let through, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        request = _Request(scope)
        refusal = self._refusal(request)
        if refusal is not None:
            await _refuse(scope["type"], send, refusal)
        elif self._token is not None and not self._shows_token(request):
            await self._ask_for_token(request, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    def _refusal(self, request: "_Request") -> Refusal | None:
        if request.length > MOST_TARGET:
            return Refusal(414, f"the address has more than {MOST_TARGET} characters")
        if request.method not in _METHODS:
            return Refusal(405, f"only {', '.join(_METHODS)} are answered")
        host = request.only(b"host")
        if host is None or not self._is_ours(host, request.port):
            return Refusal(
                403, "this server has another address; use the one that rpax printed, through a tunnel with its port"
            )
        origins = [origin.lower() for origin in request.all(b"origin")]
        if origins != [f"http://{host.lower()}"] and (origins or request.is_socket):
            return Refusal(403, "a page of another server may not ask for this")
        size = request.only(b"content-length")
        if size is not None and not (size.isdecimal() and len(size) < 20 and int(size) <= MOST_BODY):
            return Refusal(413, f"the body has more than {MOST_BODY} bytes")
        return None

    def _is_ours(self, host: str, port: int | None) -> bool:
        name, its_port = _split_host(host)
        if name is None or (port is not None and its_port != port):
            return False
        return name.lower() in self._hosts or (ANY_ADDRESS in self._hosts and _is_address(name))

    def _shows_token(self, request: "_Request") -> bool:
        return any(_same(value, self._token) for value in request.cookies(_cookie_name(request.port)))

    async def _ask_for_token(self, request: "_Request", send: Any) -> None:
        """Take the token from the address and give it back as a cookie, or refuse."""
        if request.is_socket or not _same(_token_of(request.query), self._token):
            await _refuse(
                request.kind, send, Refusal(401, "open the address that rpax printed, with its token, in this browser")
            )
            return
        cookie = f"{_cookie_name(request.port)}={self._token}; Path=/; HttpOnly; SameSite=Strict"
        # No redirect: behind one that another page began, browsers do not send strict cookies.
        page = b'<!doctype html><meta charset="utf-8"><title>rpax</title><meta http-equiv="refresh" content="0; url=/">'
        await _answer(send, 200, page, "text/html; charset=utf-8", [(b"set-cookie", cookie.encode())])

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        begun = False

        async def with_headers(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message = {**message, "headers": _completed(message.get("headers", []))}
            await send(message)

        try:
            await self._application(scope, _bounded(receive), with_headers)
        except TooLarge:
            refusal = Refusal(413, f"the body has more than {MOST_BODY} bytes")
        except TooSlow:
            refusal = Refusal(408, f"the body did not come within {BODY_SECONDS:g} seconds")
        else:
            return
        if not begun:
            await _refuse("http", send, refusal)


class _Request:
    """What a scope says, whoever made it up."""

    def __init__(self, scope: Any) -> None:
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.kind: str = scope["type"]
        self.is_socket = self.kind == "websocket"
        self.method: str = "GET" if self.is_socket else scope["method"]
        server = scope.get("server")
        self.port: int | None = server[1] if server else None
        query: bytes = scope.get("query_string", b"")
        self.query = query.decode("latin-1")
        self.length = len(scope.get("raw_path") or scope["path"].encode()) + len(query)

    def all(self, name: bytes) -> list[str]:
        """The values of a header."""
        return [value.decode("latin-1") for key, value in self._headers if key.lower() == name]

    def only(self, name: bytes) -> str | None:
        """The value of a header that is there once."""
        found = self.all(name)
        return found[0] if len(found) == 1 else None

    def cookies(self, name: str) -> list[str]:
        """The values of a cookie."""
        found = []
        for key, value in self._headers:
            if key.lower() != b"cookie":
                continue
            for part in value.decode("latin-1").split(";"):
                its_name, _, its_value = part.strip().partition("=")
                if its_name == name:
                    found.append(its_value)
        return found


def _split_host(host: str) -> tuple[str | None, int]:
    """Name and port of a Host header; no name where it is none."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        name, port = host, "80"
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    elif ":" in name:
        return None, 0
    if not name or not (port.isascii() and port.isdigit() and len(port) <= 5):
        return None, 0
    return name, int(port)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _cookie_name(port: int | None) -> str:
    # Browsers give the same cookies to all ports of a host.
    return f"rpax-{port}"


def _token_of(query: str) -> str:
    """The token that an address shows, empty where it shows none."""
    try:
        return urllib.parse.parse_qs(query, max_num_fields=_MOST_FIELDS).get("token", [""])[-1]
    except ValueError:  # more fields than rpax ever prints
        return ""


def _same(given: str, token: str | None) -> bool:
    return token is not None and hmac.compare_digest(given.encode(), token.encode())


def _completed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, with those that every answer has unless it has them itself."""
    headers = list(headers)
    there = {name.lower() for name, _ in headers}
    more = [(name.encode(), value.encode()) for name, value in _HEADERS.items() if name.encode() not in there]
    return headers + more


def _bounded(receive: Any) -> Any:
    """``receive`` of a request whose body ends, in time, before it is too large."""
    seen, complete = 0, False

    async def bounded() -> Any:
        nonlocal seen, complete
        if complete:
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), BODY_SECONDS)
        except TimeoutError:
            raise TooSlow from None
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            complete = not message.get("more_body", False)
        if seen > MOST_BODY:
            raise TooLarge
        return message

    return bounded


async def _refuse(kind: str, send: Any, refusal: Refusal) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.reason})
        return
    await _answer(send, refusal.status, f"{refusal.reason}\n".encode(), "text/plain; charset=utf-8", [])


async def _answer(send: Any, status: int, body: bytes, kind: str, headers: list[tuple[bytes, bytes]]) -> None:
    own = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()), *headers]
    if status >= 400:
        own.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": _completed(own)})
    await send({"type": "http.response.body", "body": body})
