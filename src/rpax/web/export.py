"""The explorer as one file that opens from disk: page, style, scripts and every document inside. Needs no extra."""

import base64
import contextlib
import hashlib
import html
import json
import os
import pathlib
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rpax.errors import InputError
from rpax.web.book import PICKS, Book
from rpax.web.page_files import EXPLORE_PAGE, with_files_inside

#: What a file is not larger than, unless its median episodes alone are.
MOST_BYTES = 5_000_000
#: What is recorded first, and then as long as it fits.
_ORDER = ("median", "worst", "best")
_TITLE = re.compile(r"<title>.*?</title>")
#: Called with what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


class Exported(NamedTuple):
    """What was written.

    Attributes:
        path: where.
        size: in bytes.
        recordings: how many episodes it holds.
        picks: which of each cell.
    """

    path: pathlib.Path
    size: int
    recordings: int
    picks: tuple[str, ...]


def export(book: Book, path: str | os.PathLike[str], progress: Progress = lambda what, done, total: None) -> Exported:
    """Play every grid, record the median episode of every cell, the worst and best where they fit, and write the page.

    Args:
        book: of runs, made with ``live=False``.
        path: the file to write; an existing one is replaced.
        progress: called on the way.

    Raises:
        InputError: the file cannot be written.
    """
    path = pathlib.Path(path)
    _check_place(path)
    progress("reading the runs", 0, len(book.pages))
    book.refresh()
    book.finish_grids(lambda done, total: progress("cross-play", done, total))
    cells = [
        (n, *pair) for n, grid in enumerate(book.grids) if (found := grid.result()) for pair in sorted(found.cells)
    ]
    page, picks = _filled(book, cells, progress)
    _write(path, page)
    return Exported(path, len(page), len(cells) * len(picks), picks)


def _filled(book: Book, cells: list[tuple[int, int, int]], progress: Progress) -> tuple[bytes, tuple[str, ...]]:
    """The page with the median episodes, and as many of the others as fit; and which these are."""
    documents, picks = _documents(book, cells), ()
    page = _page(documents, book.title)
    for pick in _ORDER:
        more = _recordings(
            book, cells, pick, lambda done, pick=pick: progress(f"recording the {pick}", done, len(cells))
        )
        documents |= more
        held = tuple(each for each in PICKS if each in (*picks, pick))
        documents["overview"] |= {"picks": list(held)}
        larger = _page(documents, book.title)
        if picks and len(larger) > MOST_BYTES:
            break
        grown = len(larger) - len(page)
        picks, page = held, larger
        # The next pick's episodes take more than half as much: what cannot fit is not even played.
        if len(page) + grown // 2 > MOST_BYTES:
            break
    return page, picks


def _check_place(path: pathlib.Path) -> None:
    if not path.parent.is_dir():
        raise InputError(f"file '{path}': there is no folder '{path.parent}'; make it first or choose another")
    if path.is_dir():
        raise InputError(f"'{path}' is a folder; give a file like {path / 'explorer.html'}")


def _documents(book: Book, cells: list[tuple[int, int, int]]) -> dict[str, Any]:
    """Everything but the recordings, by the paths that the page asks for."""
    overview = book.overview()
    found: dict[str, Any] = {"overview": overview}
    for number, page in enumerate(book.pages):
        found[f"run/{number}"] = book.run(number)
        for play in found[f"run/{number}"]["plays"] if page.run is not None else ():
            if "reason" not in play:
                found[f"play/{number}/{play['id']}"] = book.play(number, play["id"])
    for number in range(len(book.grids)):
        found[f"grid/{number}"] = book.grid(number)
    for number, row, column in cells:
        found[f"cell/{number}/{row}/{column}"] = book.cell(number, row, column)
    return found


def _recordings(
    book: Book, cells: list[tuple[int, int, int]], pick: str, progress: Callable[[int], None]
) -> dict[str, Any]:
    """The recordings of one pick of every cell."""
    found = {}
    for done, (number, row, column) in enumerate(cells, start=1):
        found[f"recording/{number}/{row}/{column}/{pick}"] = book.recording_now(number, row, column, pick)
        progress(done)
    return found


def _page(documents: Mapping[str, Any], title: str) -> bytes:
    """The page with everything inside, and a policy that lets it run nothing else and ask nobody."""
    styles: list[str] = []
    scripts: list[str] = []

    def style(text: str) -> str:
        styles.append(text)
        return f"<style>{text}</style>"

    def script(text: str) -> str:
        scripts.append(text)
        return f"<script>{text}</script>"

    page = with_files_inside(EXPLORE_PAGE, style, script)
    for text in (*styles, *scripts):
        if "</style" in text.lower() or "</script" in text.lower() or "<!--" in text:
            raise AssertionError("a file of the page would end its own element")
    policy = (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<title>{html.escape(title)}</title>'
    page = _TITLE.sub(lambda match: head, page, count=1)
    packed = f'<script type="application/json" id="rpax-documents">{_packed(documents)}</script>'
    # Before the scripts, which find it when they run.
    return page.replace('<div id="app"></div>', f'<div id="app"></div>\n{packed}', 1).encode()


def _hashes(texts: list[str]) -> str:
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _packed(documents: Mapping[str, Any]) -> str:
    """JSON, deflated without a header, as base64."""
    text = json.dumps(documents, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    deflate = zlib.compressobj(level=9, wbits=-15)
    return base64.b64encode(deflate.compress(text.encode()) + deflate.flush()).decode()


def _write(path: pathlib.Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise InputError(f"file '{path}' cannot be written ({error.strerror}); choose another --export") from None
