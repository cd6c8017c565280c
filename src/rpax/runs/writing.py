"""Writing files whole, and saying in one line why one could not be written. Never imports JAX."""

import contextlib
import errno
import os
import pathlib
import re
from collections.abc import Callable, Iterator

from rpax.errors import InputError

#: What helps, by what the system says against writing.
_REMEDIES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room within your quota",
    errno.EROFS: "make it writable, or copy the run to where you may write",
    errno.EACCES: "make it writable, or copy the run to where you may write",
    errno.EPERM: "make it writable, or copy the run to where you may write",
    errno.ENOENT: "its folder is gone, bring it back",
    errno.ESTALE: "its folder is gone, bring it back",
}
#: What cannot be the fault of the program.
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE, errno.EIO)
_OTHERWISE = "see that the disk is there and sound"


class Unwritable(InputError):
    """Something cannot be written; one line that names it, the cause and the remedy.

    Args:
        path: what is written.
        number: the system's number of the error, if known.
        reason: what the system says.
    """

    def __init__(self, path: str | os.PathLike[str], number: int | None, reason: str) -> None:
        remedy = _REMEDIES.get(number or 0, _OTHERWISE)
        super().__init__(f"{os.fspath(path)} cannot be written ({reason}); {remedy}, then go on with `rpax resume`")
        self.reason = reason


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """A block that writes ``path``.

    Raises:
        Unwritable: the disk is full, the quota used up, the folder read-only or gone, or the disk fails.
    """
    from safetensors import SafetensorError

    try:
        yield
    except OSError as error:
        raise Unwritable(path, error.errno, error.strerror or str(error)) from None
    except SafetensorError as error:
        # It passes on what the system said as text only.
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise Unwritable(path, int(number[1]), os.strerror(int(number[1]))) from None


def of_disk(error: OSError) -> Unwritable | None:
    """The same in a line, where a disk is full, read-only, gone or broken; ``None`` for anything else."""
    if error.errno not in _OF_DISKS:
        return None
    return Unwritable(error.filename or "a file", error.errno, error.strerror or str(error))


def write_whole(path: pathlib.Path, write: Callable[[pathlib.Path], object]) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of it, also after a power cut.

    Args:
        path: the file.
        write: writes the file that it is given.

    Raises:
        Unwritable: it cannot be written; what was there stays.
    """
    temporary = path.with_name(path.name + ".part")
    with writing(path):
        try:
            # It may lead anywhere.
            if temporary.is_symlink():
                temporary.unlink()
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            synchronise_folder(path.parent)
        except BaseException:
            # What lies there half written takes room that may be lacking.
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def synchronise_folder(folder: pathlib.Path) -> None:
    """Make what a folder lists durable; Windows cannot open folders and needs no such thing."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: pathlib.Path, text: str) -> None:
    """:func:`write_whole` of text."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
