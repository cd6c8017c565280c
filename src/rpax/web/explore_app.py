"""The explorer's server: the page, and its documents as JSON."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

import fastapi
from fastapi.responses import Response

from rpax.web.book import Book, Missing
from rpax.web.book.text import plain_text
from rpax.web.book.worker import Busy
from rpax.web.page_files import EXPLORE_PAGE, files_of
from rpax.web.server import Listening, add_static, make_app


def explore_app(book: Book, listening: Listening) -> fastapi.FastAPI:
    """The application that shows a book.

    ``/data/overview`` looks at the runs' files; what it tells of is in ``/data/run/ID``, ``/data/grid/ID``,
    ``/data/cell/GRID/ROW/COLUMN``, ``/data/recording/GRID/ROW/COLUMN/PICK`` and ``/data/play/RUN/NUMBER``. An answer
    has an ``ETag``; who has it already gets 304.

    Args:
        book: what is shown.
        listening: where it will be served.
    """
    app = make_app(allowed_hosts=listening.allowed_hosts, token=listening.token, title=book.title)
    add_static(app, files_of(EXPLORE_PAGE), EXPLORE_PAGE)

    @app.get("/data/overview")
    def overview(request: fastapi.Request) -> Response:
        def latest() -> object:
            book.refresh()
            return book.overview()

        return _answer(request, latest)

    @app.get("/data/run/{number:int}")
    def run(request: fastapi.Request, number: int) -> Response:
        return _answer(request, lambda: book.run(number))

    @app.get("/data/grid/{number:int}")
    def grid(request: fastapi.Request, number: int) -> Response:
        return _answer(request, lambda: book.grid(number))

    @app.get("/data/cell/{number:int}/{row:int}/{column:int}")
    def cell(request: fastapi.Request, number: int, row: int, column: int) -> Response:
        return _answer(request, lambda: book.cell(number, row, column))

    @app.get("/data/play/{number:int}/{played:int}")
    def play(request: fastapi.Request, number: int, played: int) -> Response:
        return _answer(request, lambda: book.play(number, played))

    @app.get("/data/recording/{number:int}/{row:int}/{column:int}/{pick}")
    async def recording(request: fastapi.Request, number: int, row: int, column: int, pick: str) -> Response:
        try:
            waiting = book.recording(number, row, column, pick)
            found = await asyncio.wrap_future(waiting)
        except Exception as error:  # an agent of the user's may raise anything
            return _failure(error)
        return _answer(request, lambda: found)

    return app


def _answer(request: fastapi.Request, make: Callable[[], Any]) -> Response:
    try:
        body = json.dumps(make(), separators=(",", ":"), allow_nan=False).encode()
    except Exception as error:  # what is damaged is told, and the page stays
        return _failure(error)
    tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _failure(error: Exception) -> Response:
    """What went wrong in a line: 404 for what is not there, 503 for too much at once, 400 for anything else."""
    status = 404 if isinstance(error, Missing) else 503 if isinstance(error, Busy) else 400
    told = "there is no such document" if isinstance(error, Missing) else plain_text(error) or type(error).__name__
    return Response(json.dumps({"error": told}), status_code=status, media_type="application/json")
