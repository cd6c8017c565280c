"""One process writes a run directory: the file ``lock`` in it names that process. Never imports JAX.

The file is locked by the operating system (``flock``; on Windows a byte range), which ends with the process, however
that ends: whoever gets the lock knows that the process of the same host which the file names is gone, and takes over;
of several that try at once exactly one succeeds. What is promised where:

- Linux and macOS, local disks: the above, also between containers.
- Windows: the same through ``msvcrt``; not tested here.
- Network file systems that pass locks on (NFS, SMB), and all that are not known to be local: the same. A file that
  names another host is refused all the same, since not all do: whoever knows that the process is gone removes the file.
  On disks of this computer it is not, as containers come back under another name.
- File systems without locks (``flock`` fails, as on some Lustre mounts): a process on the same host counts as gone if
  none of its number and start time runs. Who claims the file is alone through ``lock.claim``, made exclusively; a
  process that dies in this instant leaves it behind, and its removal is asked for.

A copy of a run directory is nobody's: the file says which file it was, and a copy is another one.
"""

import contextlib
import errno
import json
import os
import pathlib
import socket
import stat
import subprocess
import sys
import time
import weakref
from typing import NamedTuple

from rpax.errors import InputError
from rpax.runs.file_systems import is_local
from rpax.runs.writing import writing
from rpax.untrusted import NotStrictJSON, check_keys, parse_json

_MOST_BYTES = 4096
#: Characters of a host's name, and numbers of processes.
_MOST_HOST, _MOST_PID = 255, 2**31
#: Which byte Windows locks, beyond all that is read.
_FAR = 1 << 20
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
_held: "weakref.WeakSet[RunLock]" = weakref.WeakSet()


class Owner(NamedTuple):
    """Who writes a run directory.

    Attributes:
        host: its name.
        pid: the process.
        started: when the process started, as the system says it; tells it from a later one of the same number.
        inode: of the lock file it wrote.
    """

    host: str
    pid: int
    started: str | None
    inode: int


class RunLock:
    """The lock of a run directory.

    Args:
        folder: the run directory.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.file = folder / "lock"
        self._given_back: weakref.finalize | None = None

    @property
    def held(self) -> bool:
        """Whether this process holds it through this object."""
        return self._given_back is not None and self._given_back.alive

    def acquire(self) -> None:
        """Take the lock; nothing where it is held already.

        Raises:
            InputError: another process has it, or the file cannot be written.
        """
        if self.held:
            return
        with writing(self.file):
            descriptor, by_system = self._open()
            try:
                self._claim(descriptor, by_system)
            except BaseException:
                os.close(descriptor)
                raise
        # Also when the object is forgotten, and when the interpreter ends.
        self._given_back = weakref.finalize(self, _release, self.file, descriptor, os.getpid())
        _held.add(self)

    def release(self) -> None:
        """Give the lock back; nothing where it is not held."""
        _held.discard(self)
        if self._given_back is not None:
            self._given_back()

    def _open(self) -> tuple[int, bool]:
        """The file, never one that its owner removes meanwhile, and whether the system locked it."""
        while True:
            # A link may lead to anything, which would be overwritten.
            if self.file.is_symlink():
                raise InputError(f"lock {self.file} is a link, to which nothing is written; remove it")
            if self.file.exists() and not self.file.is_file():
                raise InputError(f"lock {self.file} is a folder or no file at all; remove it")
            descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o644)
            try:
                locked = _lock(descriptor)
                if locked is False:
                    raise self._taken(_patiently_read(descriptor))
                if os.fstat(descriptor).st_nlink > 1 and _is_at(descriptor, self.file):
                    # It is also somebody else's, under another name.
                    self.file.unlink()
                elif _is_at(descriptor, self.file):
                    return descriptor, bool(locked)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _claim(self, descriptor: int, by_system: bool) -> None:
        """Write our name into a file whose owner is gone."""
        if by_system:
            if not is_local(self.folder):
                self._refuse_other_host(_read(descriptor))
            self._name_us(descriptor)
            return
        claim = self.file.with_name("lock.claim")
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            raise InputError(
                f"run directory {self.folder} is being claimed by another process; if it stays so, remove {claim}"
            ) from None
        try:
            owner = _read(descriptor)
            self._refuse_other_host(owner)
            if owner is not None and owner.started is not None and owner.started == process_started(owner.pid):
                raise self._taken(owner)
            self._name_us(descriptor)
        finally:
            claim.unlink(missing_ok=True)

    def _name_us(self, descriptor: int) -> None:
        try:
            _write(descriptor)
        except OSError:
            # An empty file names nobody, and may not be ours to leave here.
            with contextlib.suppress(OSError):
                self.file.unlink()
            raise

    def _refuse_other_host(self, owner: Owner | None) -> None:
        if owner is not None and owner.host != socket.gethostname():
            raise InputError(
                f"run directory {self.folder} is being written by process {owner.pid} on host {owner.host}; if that "
                f"process is gone, remove {self.file}"
            )

    def _taken(self, owner: Owner | None) -> InputError:
        who = "another process" if owner is None else f"process {owner.pid} on host {owner.host}"
        return InputError(f"run directory {self.folder} is being written by {who}; wait for it, or stop it first")


def release_all() -> None:
    """Give every lock of this process back, before it ends without ceremony."""
    for lock in list(_held):
        lock.release()


def is_lock_file(file: pathlib.Path) -> bool:
    """Whether a file is one that :class:`RunLock` wrote, or was about to write; no link is."""
    try:
        found = file.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
            return False
        return found.st_size == 0 or _parse(file.read_bytes()) is not None
    except OSError:
        return False


def process_started(pid: int) -> str | None:
    """When a process of this host started, as the system says it; ``None`` if there is none."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # Its name, in brackets, may hold spaces.
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        return f"{boot} {fields.split()[19]}"
    except OSError:
        if pathlib.Path("/proc/self/stat").exists() or sys.platform == "win32":
            return None
    told = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return told.stdout.strip() or None


def _release(file: pathlib.Path, descriptor: int, pid: int) -> None:
    """Remove and unlock; in a process that was forked from the owner, nothing."""
    if pid != os.getpid():
        return
    with contextlib.suppress(OSError):
        ours = _is_at(descriptor, file)
        # Nothing that is open can be removed on Windows; elsewhere nobody may lock what is about to be removed.
        if ours and sys.platform != "win32":
            file.unlink()
        os.close(descriptor)
        if ours and sys.platform == "win32":
            file.unlink()


def _lock(descriptor: int) -> bool | None:
    """Whether the system locks the file for us; ``None`` where it knows no locks."""
    try:
        _system_lock(descriptor)
    except OSError as error:
        return None if error.errno in _UNSUPPORTED else False
    return True


def _system_lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(descriptor: int, file: pathlib.Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False


def _patiently_read(descriptor: int) -> Owner | None:
    """Who has the lock; it may be about to write it down."""
    for _ in range(20):
        owner = _read(descriptor)
        if owner is not None:
            return owner
        time.sleep(0.01)
    return None


def _read(descriptor: int) -> Owner | None:
    """Whom the file names; ``None`` for nobody, and in a copy."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    owner = _parse(os.read(descriptor, _MOST_BYTES))
    return owner if owner is not None and owner.inode == os.fstat(descriptor).st_ino else None


def _parse(content: bytes) -> Owner | None:
    """What a lock file says; ``None`` where it is damaged."""
    kinds = {"host": str, "pid": int, "started": (str, type(None)), "inode": int}
    try:
        owner = Owner(**check_keys(parse_json(content), kinds))
    except NotStrictJSON:
        return None
    sound = owner.host.isprintable() and len(owner.host) <= _MOST_HOST and 0 < owner.pid <= _MOST_PID
    return owner if sound else None


def _write(descriptor: int) -> None:
    owner = Owner(socket.gethostname(), os.getpid(), process_started(os.getpid()), os.fstat(descriptor).st_ino)
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(owner._asdict()).encode())
    os.fsync(descriptor)
