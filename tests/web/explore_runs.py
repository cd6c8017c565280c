"""Small trained runs for the tests of the explorer, trained once in a process, and the explorer that shows them."""

import asyncio
import contextlib
import functools
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import rpax
from rpax.web.book import Book, PlaySettings

#: The smallest that is trained: a few updates of tiny networks.
TINY: dict[str, Any] = {"updates": 2, "envs": 2, "steps": 6, "hidden_sizes": (4,), "evaluation_episodes": 4, "seeds": 2}
OPTIONS: dict[str, dict[str, Any]] = {"overcooked/cramped_room": {"horizon": 30}, "storm": {}, "hanabi/3x3": {}}
#: Episodes of a cell.
SETTINGS = PlaySettings(episodes=4, seed=0)


@functools.cache
def train(folder: pathlib.Path, environment: str, algorithm: str = "sp") -> pathlib.Path:
    """A run on one of ``OPTIONS``, or exact AT-RPG on Figure 2's game, which the run is then a real one of."""
    path = folder / f"{algorithm}-{environment.replace('/', '-')}"
    if environment.startswith("matrix/"):
        rpax.train(algorithm, environment, exact=True, seeds=2, updates=30, out=path)
    else:
        game = rpax.make(environment, **OPTIONS[environment])
        rpax.train(algorithm, game, out=path, **TINY)
    return path


@contextlib.contextmanager
def served(book: Book) -> Iterator[str]:
    """The explorer of a book, served; gives its address without the slash at the end."""
    from rpax.web.explore_app import explore_app
    from rpax.web.server import listen, make_server

    listening = listen(port=0)
    server = make_server(explore_app(book, listening))
    sockets = [listening.socket]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets)), daemon=True)
    thread.start()
    try:
        yield listening.url.rstrip("/")
    finally:
        server.should_exit = True
        thread.join(20)
        book.close()
