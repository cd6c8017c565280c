"""Folders that are made on the way, and taken away again where nothing came to lie in them."""

import contextlib
import pathlib
from collections.abc import Iterable, Iterator


def missing_folders(path: pathlib.Path) -> list[pathlib.Path]:
    """The folders that making ``path`` makes, the innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def remove_empty(folders: Iterable[pathlib.Path]) -> None:
    """Remove those of the folders, the innermost first, that are empty."""
    for folder in folders:
        # Not empty, not there, or not ours any more.
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def no_empty_folders(path: pathlib.Path) -> Iterator[None]:
    """Where the block fails, ``path`` and what is above it are removed, as far as they are new and empty."""
    missing = missing_folders(path)
    try:
        yield
    except BaseException:
        remove_empty(missing)
        raise
