"""A real browser for the tests of pages, where there is one, and a page that notices every mistake."""

import contextlib
import functools
import http.server
import pathlib
import shutil
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from rpax.web.player_files import SCRIPTS, STYLES

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_HERE = ("127.0.0.1", "localhost", "::1")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="the dev extra is missing: playwright")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is missing; on Debian: apt-get install chromium")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield started
        started.close()


def until(page: Any, holds: str, seconds: float = 30.0) -> None:
    """Wait until an expression is true in a page.

    Playwright's own ``wait_for_function`` evaluates text in the page, which the policy of pages forbids.
    """
    end = time.monotonic() + seconds
    while not page.evaluate(holds):
        assert time.monotonic() < end, f"still not: {holds}"
        page.wait_for_timeout(20)


class Watch:
    """What a page must not do: write errors, raise exceptions, ask other computers for anything."""

    def __init__(self, page: Any) -> None:
        self.problems: list[str] = []
        #: Parts of messages that a test expects.
        self.expected: list[str] = []
        page.on("console", lambda message: self._note(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self._note(f"exception: {error}"))
        page.on("request", self._check)

    def _note(self, text: str) -> None:
        if not any(part in text for part in self.expected):
            self.problems.append(text)

    def _check(self, request: Any) -> None:
        url = urllib.parse.urlparse(request.url)
        if url.scheme not in ("data", "blob", "file", "about") and url.hostname not in _HERE:
            self.problems.append(f"asks for {request.url}")


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page; the test fails if it writes errors, raises exceptions, or asks for anything elsewhere.

    ``page.watch.expected`` takes parts of messages that are meant to come; ``page.until`` waits for an expression.
    """
    context = browser.new_context(viewport={"width": 1000, "height": 900}, color_scheme="light")
    opened = context.new_page()
    opened.watch = Watch(opened)
    opened.until = functools.partial(until, opened)
    yield opened
    problems = opened.watch.problems
    context.close()
    assert not problems, f"the page: {problems}"


_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Player</title>
{links}</head><body><main><h1>Recordings</h1><div id="first"></div><div id="second"></div></main></body></html>"""
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"


def _test_page() -> str:
    styles = [f'<link rel="stylesheet" href="{name}">' for name in STYLES]
    scripts = [f'<script defer src="{name}"></script>' for name in SCRIPTS]
    return _PAGE.format(links="\n".join([*styles, *scripts]))


class _Handler(http.server.BaseHTTPRequestHandler):
    """The files of the player beside a page that is empty, under the policy that real pages have."""

    folder = pathlib.Path(__file__).parents[2] / "src" / "rpax" / "web" / "static"

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        known = name in (*SCRIPTS, *STYLES)
        content = (self.folder / name).read_bytes() if known else _test_page().encode()
        kinds = {"css": "text/css", "js": "text/javascript"}
        self.send_response(200 if known or not name else 204)
        self.send_header("Content-Type", f"{kinds.get(name.rpartition('.')[2], 'text/html')}; charset=utf-8")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("Content-Length", str(len(content)) if known or not name else "0")
        self.end_headers()
        if known or not name:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="session")
def player_url() -> Iterator[str]:
    """Where a page with the player's files and nothing else is served."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    with contextlib.suppress(RuntimeError):
        thread.join(5)


@pytest.fixture
def player_page(page: Any, player_url: str) -> Any:
    """The page with the player's files, opened."""
    page.goto(player_url)
    until(page, "Boolean(window.rpax && window.rpax.showRecording)")
    return page
