"""Which file systems only this computer writes, so that its locks are known to everybody. Never imports JAX."""

import pathlib
import re

#: Types as Linux names them. Of all others (NFS, SMB, Lustre, FUSE, what virtual machines share) it is not known.
LOCAL = frozenset(
    {"bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"}
)
_MOUNTS = pathlib.Path("/proc/self/mountinfo")


def is_local(folder: pathlib.Path) -> bool:
    """Whether a folder is known to lie on a file system that no other computer writes; ``False`` off Linux."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        return type_of(folder.resolve(), mounts) in LOCAL
    except OSError:
        return False


def type_of(folder: pathlib.Path, mounts: str) -> str | None:
    """The type of the file system on which a folder lies.

    Args:
        folder: its whole path, without links.
        mounts: the content of ``/proc/self/mountinfo``: a line for each mount, whose fifth word is where, and whose
            first after `` - `` is the type (proc_pid_mountinfo(5)).

    >>> type_of(pathlib.Path("/data/run"), "1 0 8:1 / / rw - ext4 /dev/a rw\\n2 1 0:9 / /data rw - nfs4 b:/ rw")
    'nfs4'
    """
    found, deepest = None, -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        words, kinds = before.split(" "), after.split(" ")
        if len(words) < 5:
            continue
        place = pathlib.Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), words[4]))
        # Of two at the same place, the later one lies above.
        if folder.is_relative_to(place) and len(place.parts) >= deepest:
            found, deepest = kinds[0], len(place.parts)
    return found
