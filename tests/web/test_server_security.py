"""The server against whoever sends it anything: it lets nobody in who may not, serves what is listed, and stays up."""

import asyncio
import contextlib
import http.client
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from rpax.errors import InputError
from rpax.web import extra

pytest.importorskip("fastapi", reason="needs the extra [web]")
pytest.importorskip("websockets", reason="needs the extra [web]")

from fastapi import Request, WebSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from rpax.web import guard, server


class Served:
    """A server in a thread, with one page, one file, an echo of bodies and one of messages."""

    def __init__(self, *, token: str | None = None) -> None:
        self.listening = server.listen(port=0)._replace(token=token)
        app = server.make_app(allowed_hosts=self.listening.allowed_hosts, token=token, title="test")
        server.add_static(app, ["theme.js"], "test.html")

        @app.post("/echo")
        async def echo(request: Request) -> int:
            return len(await request.body())

        @app.get("/wrong")
        async def wrong() -> None:
            raise InputError("this is\nwrong")

        @app.websocket("/socket")
        async def echo_text(socket: WebSocket) -> None:
            await socket.accept()
            async for text in socket.iter_text():
                await socket.send_text(text)

        self._server = server.make_server(app)
        sockets = [self.listening.socket]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve(sockets)), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self.listening.socket.getsockname()[1]

    def get(self, path: str = "/", method: str = "GET", body: Any = None, **headers: str) -> tuple[int, str, Any]:
        """Status, text and headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host="host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers

    def talk(self, **changes: Any) -> ClientConnection:
        changes = {"origin": f"http://127.0.0.1:{self.port}", **changes}
        return connect(f"ws://127.0.0.1:{self.port}/socket", open_timeout=20, compression=None, **changes)

    def refuses(self, **changes: Any) -> bool:
        try:
            with self.talk(**changes):
                return False
        except InvalidStatus as error:
            return error.response.status_code == 403

    def raw(self, content: bytes = b"") -> socket.socket:
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        opened.sendall(content)
        return opened

    def is_up(self) -> bool:
        with self.talk() as talking:
            talking.send("still here")
            return self.get()[0] == 200 and talking.recv(20) == "still here"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)


@pytest.fixture(scope="module")
def files() -> Iterator[None]:
    """A page and a script instead of the package's."""
    contents = {"test.html": "<!doctype html><title>page</title>", "theme.js": "'use strict';"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "read_static", contents.__getitem__)
        yield


@pytest.fixture(scope="module")
def served(files: None) -> Iterator[Served]:
    running = Served()
    yield running
    assert running.is_up(), "whatever the tests sent, it serves on"
    running.stop()


@pytest.fixture(scope="module")
def guarded(files: None) -> Iterator[Served]:
    running = Served(token="secret-token")
    yield running
    running.stop()


def test_pages_and_files_come_with_strict_headers(served: Served) -> None:
    for path, kind in (("/", "text/html; charset=utf-8"), ("/static/theme.js", "text/javascript; charset=utf-8")):
        status, text, headers = served.get(path)
        assert (status, headers["content-type"]) == (200, kind)
        assert text
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    assert served.get("/nothing")[2]["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/static/", "/static", "/static/test.html"])
def test_nothing_else_is_there(served: Served, path: str) -> None:
    assert served.get(path)[0] == 404


TRAVERSALS = [
    "../server.py",
    "..%2fserver.py",
    "%2e%2e/server.py",
    "%2e%2e%2fserver.py",
    "%252e%252e%252fserver.py",
    "..%5cserver.py",
    "..%c0%afserver.py",
    "%c0%ae%c0%ae/server.py",
    "....//server.py",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "theme.js%00.html",
    "theme.js/",
    "./theme.js/../../server.py",
    "file:///etc/passwd",
    "C:%5cWindows%5cwin.ini",
    "%ff%fe",
    "~root/.bashrc",
]


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_path_leads_anywhere_else(served: Served, name: str) -> None:
    for path in (f"/static/{name}", f"/{name}"):
        status, text, _ = served.get(path)
        assert status == 404
        assert "import" not in text
        assert "root:" not in text


def test_a_whole_address_or_an_unreadable_one_is_no_path(served: Served) -> None:
    for target in (b"http://127.0.0.1/../../etc/passwd", b"*", b"/\xff", b"/a b", b""):
        with served.raw(b"GET " + target + f" HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode()) as opened:
            assert opened.recv(4096)[9:12] in (b"404", b"400", b"403")


def hosts(port: int) -> dict[str, int]:
    return {
        f"127.0.0.1:{port}": 200,
        f"localhost:{port}": 200,
        f"LOCALHOST:{port}": 200,
        f"[::1]:{port}": 200,
        f"rebound.example:{port}": 403,
        f"127.0.0.1.rebound.example:{port}": 403,
        f"localhost.:{port}": 403,
        f"localhost:{port + 1}": 403,
        "localhost": 403,
        f"10.0.0.1:{port}": 403,
        f"127.0.0.1:{port}@rebound.example": 403,
        f"user@127.0.0.1:{port}": 403,
        f"127.0.0.1:{port}, rebound.example": 403,
        f"::1:{port}": 403,
        "": 403,
        f":{port}": 403,
        "127.0.0.1:": 403,
        f"127.0.0.1:0x{port:x}": 403,
    }


def test_only_our_own_host_is_answered(served: Served) -> None:
    wanted = hosts(served.port)
    assert {host: served.get(host=host)[0] for host in wanted} == wanted


def test_a_request_with_two_hosts_or_none_is_refused(served: Served) -> None:
    line = f"Host: 127.0.0.1:{served.port}\r\n"
    for lines in ("", line + "Host: rebound.example\r\n", line * 2):
        with served.raw(f"GET / HTTP/1.1\r\n{lines}\r\n".encode()) as opened:
            assert opened.recv(4096)[9:12] in (b"400", b"403")
    with served.raw(b"GET / HTTP/1.0\r\n\r\n") as opened:
        assert opened.recv(4096)[9:12] == b"403"


def test_a_foreign_origin_is_refused(served: Served) -> None:
    ours = f"http://127.0.0.1:{served.port}"
    foreign = [
        "http://rebound.example",
        "null",
        "",
        f"https://127.0.0.1:{served.port}",
        f"http://127.0.0.1:{served.port + 1}",
        f"http://localhost:{served.port}",
        f"{ours}.rebound.example",
        "file://",
    ]
    assert served.get(origin=ours)[0] == 200
    assert [served.get(origin=origin)[0] for origin in foreign] == [403] * len(foreign)
    for origin in (*foreign, None):
        assert served.refuses(origin=origin)
    assert served.get(origin=ours, Origin="http://rebound.example")[0] == 403


def test_a_socket_by_another_host_is_refused(served: Served) -> None:
    lines = [
        "GET /socket HTTP/1.1",
        f"Host: rebound.example:{served.port}",
        f"Origin: http://rebound.example:{served.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    with served.raw("\r\n".join([*lines, "", ""]).encode()) as opened:
        assert opened.recv(4096)[9:12] == b"403"


def test_other_methods_are_refused(served: Served) -> None:
    assert [served.get(method=method)[0] for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "HACK")] == [405] * 5
    assert served.get("/", method="HEAD")[0] in (200, 405)
    assert served.get("/", method="POST")[0] == 405


def test_long_addresses_headers_and_bodies_are_refused(served: Served) -> None:
    assert served.get("/" + "a" * guard.MOST_TARGET)[0] == 414
    assert served.get("/?" + "a" * guard.MOST_TARGET)[0] == 414
    with served.raw(b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000) as opened:
        assert opened.recv(4096)[9:12] == b"400"
    size = guard.MOST_BODY
    assert served.get("/echo", "POST", b"a" * size, content_length=str(size))[:2] == (200, str(size))
    for length in (str(size + 1), "9" * 30, "1" * 5000):
        assert served.get("/echo", "POST", content_length=length)[0] in (400, 413)


def test_a_body_that_does_not_say_its_length_is_refused_where_it_grows_too_large(served: Served) -> None:
    head = f"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"2000\r\n" + b"a" * 0x2000 + b"\r\n"
    with served.raw(head + chunk * 9) as opened:
        assert opened.recv(4096)[9:12] == b"413"
    with served.raw(head + chunk * 2 + b"0\r\n\r\n") as opened:
        assert opened.recv(4096)[9:12] == b"200"


def test_half_a_request_or_body_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(server, "_REQUEST_SECONDS", 0.2)
    head = f"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: 9\r\n\r\n".encode()
    with served.raw(head + b"a") as opened:
        assert opened.recv(4096)[9:12] == b"408"
    for half in (b"", b"GET / HT", head[:40]):
        with served.raw(half) as opened, contextlib.suppress(ConnectionResetError):
            assert opened.recv(4096) == b""
    with served.raw(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode()) as opened:
        assert opened.recv(4096)[9:12] == b"200"
        opened.sendall(b"GET / HT")
        with contextlib.suppress(ConnectionResetError):
            while opened.recv(4096):
                pass


def test_a_waiting_connection_and_a_socket_are_not_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_REQUEST_SECONDS", 0.05)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    with contextlib.closing(connection), served.talk() as talking:
        for _ in range(3):
            connection.request("GET", "/")
            assert connection.getresponse().read()
            threading.Event().wait(0.2)
        talking.send("still here")
        assert talking.recv(20) == "still here"


def test_an_oversized_message_ends_its_socket_only(served: Served) -> None:
    with served.talk() as other, served.talk() as talking:
        talking.send("a" * server.MOST_MESSAGE)
        assert len(talking.recv(20)) == server.MOST_MESSAGE
        talking.send("a" * (server.MOST_MESSAGE + 1))
        with pytest.raises(ConnectionClosed):
            talking.recv(20)
        other.send("still here")
        assert other.recv(20) == "still here"


def test_a_message_in_very_many_pieces_ends_its_socket(served: Served) -> None:
    with served.talk() as talking:
        with contextlib.suppress(ConnectionClosed):
            talking.send("a" for _ in range(server.MOST_MESSAGE + 1))
        with pytest.raises(ConnectionClosed):
            talking.recv(20)


@pytest.mark.parametrize("content", [b"\x00" * 4000, b"\x16\x03\x01" * 50, b"GET\r\n\r\n", b"\r\n" * 100, b"\xff" * 9])
def test_what_is_no_request_is_refused(served: Served, content: bytes) -> None:
    with served.raw(content) as opened:
        opened.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert opened.recv(4096)[9:12] in (b"400", b"")


def test_frames_that_are_none_end_their_socket(served: Served) -> None:
    for frame in (
        b"\xff" * 50,
        b"\x81\xfe\xff\xff",
        b"\xc1\x80\x00\x00\x00\x00",
        b"\x81\x05hello",
        b"\x81\x82\0\0\0\0\xff\xff",
    ):
        with served.talk() as talking:
            talking.socket.sendall(frame)
            with pytest.raises(ConnectionClosed):
                talking.recv(20)


def test_a_flood_of_connections_is_turned_away(served: Served) -> None:
    opened = []
    with contextlib.suppress(OSError):
        opened = [served.raw() for _ in range(2 * server._MOST_OPEN)]
    for connection in opened:
        connection.close()
    for _ in range(100):
        with contextlib.suppress(OSError, http.client.HTTPException):
            if served.get()[0] == 200:
                break
        time.sleep(0.02)
    assert served.is_up()


def test_wrong_input_is_told_in_a_line(served: Served) -> None:
    assert served.get("/wrong")[:2] == (400, '{"error":"this is wrong"}')


def test_without_the_token_nothing_is_served(guarded: Served) -> None:
    cookie = f"rpax-{guarded.port}"
    for path in ("/", "/static/theme.js", "/nothing", "/?token=", "/?token=secret-toke", "/?token=secret-token%00"):
        assert guarded.get(path)[0] == 401
    for value in ("", "secret-token2", "secret-tokem", "Secret-Token", "ü"):
        assert guarded.get(cookie=f"{cookie}={value}")[0] == 401
        assert guarded.refuses(additional_headers={"Cookie": f"{cookie}={value}"})
    assert guarded.refuses()


def test_a_query_of_many_fields_is_refused_like_any_other(
    guarded: Served, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for path in ("/?" + "&".join("x" * 21), "/?" + "a=1&" * 21 + "token=secret-token", "/?" + "&" * 500):
        assert guarded.get(path)[0] == 401
    assert guarded.get("/?a&b&token=secret-token")[0] == 200
    assert "Traceback" not in caplog.text + capsys.readouterr().err


def test_the_token_becomes_a_cookie_that_no_script_reads(guarded: Served) -> None:
    status, text, headers = guarded.get("/?token=secret-token")
    assert status == 200
    assert "secret-token" not in text
    cookie, *attributes = [part.strip() for part in headers["set-cookie"].split(";")]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {*attributes}
    assert guarded.get(cookie=f"other=1; {cookie}")[:2] == (200, "<!doctype html><title>page</title>")
    with guarded.talk(additional_headers={"Cookie": cookie}) as talking:
        talking.send("hello")
        assert talking.recv(20) == "hello"


def test_a_token_is_made_for_every_address_but_this_computers() -> None:
    for host, wanted in (("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)):
        listening = server.listen(host, 0)
        listening.socket.close()
        assert (listening.token is not None) == wanted
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(listening.url).query)
        assert query == ({"token": [listening.token]} if wanted else {})
    first, second = (server.listen("0.0.0.0", 0) for _ in range(2))
    assert first.token != second.token
    assert len(first.token or "") >= 32
    first.socket.close()
    second.socket.close()


def test_everywhere_means_addresses_but_not_other_names() -> None:
    listening = server.listen("0.0.0.0", 0)
    listening.socket.close()
    let_in = guard.Guard(None, hosts=listening.allowed_hosts, token=None)
    assert let_in._is_ours("192.168.1.7:8421", 8421)
    assert let_in._is_ours("[fe80::1]:8421", 8421)
    assert let_in._is_ours(f"{socket.gethostname()}:8421", 8421)
    assert not let_in._is_ours("rebound.example:8421", 8421)
    assert not let_in._is_ours("192.168.1.7.rebound.example:8421", 8421)


def test_a_port_that_is_taken_or_impossible_is_told_in_a_line(served: Served) -> None:
    with pytest.raises(InputError, match=f"port {served.port} at 127.0.0.1 is taken; give another --port"):
        server.listen(port=served.port)
    with pytest.raises(InputError, match="port 70000 is not allowed; give a whole number from 0 to 65535"):
        server.listen(port=70_000)
    with pytest.raises(InputError, match="host 'no host' is no address of this computer"):
        server.listen("no host")
    with pytest.raises(InputError, match=r"host '192\.0\.2\.1', port 8421: cannot listen there"):
        server.listen("192.0.2.1", 8421)


def test_by_default_the_next_free_port_is_taken() -> None:
    first, second = server.listen(), server.listen()
    assert first.socket.getsockname()[1] != second.socket.getsockname()[1]
    first.socket.close()
    second.socket.close()


def test_the_address_is_printed_and_opened_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []

    class Running:
        def run(self, sockets: list[socket.socket]) -> None:
            assert sockets == [listening.socket]
            time.sleep(0.05)

    monkeypatch.setattr(server.webbrowser, "open", opened.append)
    monkeypatch.setattr(server, "make_server", lambda app: Running())
    monkeypatch.setattr(server.sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    listening = server.listen(port=0)
    app = server.make_app(allowed_hosts=listening.allowed_hosts, token=None, title="test")
    for screen, wanted, open_browser in (("", False, True), (":0", True, True), (":0", False, False)):
        monkeypatch.setenv("DISPLAY", screen)
        opened.clear()
        server.run_server(app, listening, what="play", open_browser=open_browser, quiet=not wanted)
        assert opened == ([listening.url] if wanted else [])
        told = capsys.readouterr()
        assert told.out == f"{listening.url}\n"
        assert (told.err == "") != wanted
    listening.socket.close()


def test_a_missing_extra_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    extra.check_web_extra()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs fastapi and uvicorn and websockets; run pip install 'rpax\[web\]'"):
        extra.check_web_extra()
