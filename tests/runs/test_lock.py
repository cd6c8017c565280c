"""One process writes a run directory, and a lock whose owner is gone is no obstacle."""

import errno
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from rpax.errors import InputError
from rpax.runs import file_systems, lock
from rpax.runs.lock import RunLock, process_started

#: Waits until told to, takes the lock, says whether it has it, and keeps it until told to end.
CONTENDER = """
import pathlib, sys
from rpax.errors import InputError
from rpax.runs import lock
{before}
print("ready", flush=True)
sys.stdin.readline()
mine = lock.RunLock(pathlib.Path(sys.argv[1]))
try:
    mine.acquire()
    print("has it", flush=True)
except InputError as error:
    print(error, flush=True)
sys.stdin.readline()
"""
WITHOUT_SYSTEM_LOCKS = """
import errno
def refuse(descriptor):
    raise OSError(errno.ENOSYS, "Function not implemented")
lock._system_lock = refuse
"""


def contender(folder: pathlib.Path, before: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CONTENDER.format(before=before), str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def holder(folder: pathlib.Path, before: str = "") -> subprocess.Popen[str]:
    """A process that has the lock."""
    process = contender(folder, before)
    assert hear(process) == "ready"
    say(process)
    assert hear(process) == "has it"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def write_owner(folder: pathlib.Path, **changed: object) -> None:
    """A lock file that names this process, or another."""
    file = folder / "lock"
    file.touch()
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": process_started(os.getpid())}
    file.write_text(json.dumps(owner | {"inode": file.stat().st_ino} | changed))


@pytest.fixture
def no_system_locks(monkeypatch):
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(lock, "_system_lock", refuse)


@pytest.mark.parametrize("before", ["", WITHOUT_SYSTEM_LOCKS], ids=["flock", "no system locks"])
def test_a_second_writer_is_told_host_and_process_and_may_write_when_the_first_is_killed(before, tmp_path, request):
    if before:
        request.getfixturevalue("no_system_locks")
    first = holder(tmp_path, before)
    try:
        with pytest.raises(InputError) as refused:
            RunLock(tmp_path).acquire()
        assert f"process {first.pid} on host {socket.gethostname()}" in str(refused.value)
        assert "\n" not in str(refused.value)
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert (tmp_path / "lock").exists(), "a killed process leaves it behind"
        second = RunLock(tmp_path)
        second.acquire()
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
        second.release()
        assert list(tmp_path.iterdir()) == []
    finally:
        end(first)


@pytest.mark.parametrize("before", ["", WITHOUT_SYSTEM_LOCKS], ids=["flock", "no system locks"])
def test_of_many_that_find_a_lock_whose_owner_is_gone_exactly_one_gets_it(before, tmp_path):
    gone = holder(tmp_path, before)
    end(gone)
    many = [contender(tmp_path, before) for _ in range(6)]
    try:
        assert [hear(process) for process in many] == ["ready"] * 6
        for process in many:
            say(process)
        told = [hear(process) for process in many]
        assert sum(line == "has it" for line in told) == 1, told
        (winner,) = (process for process, line in zip(many, told, strict=True) if line == "has it")
        assert json.loads((tmp_path / "lock").read_text())["pid"] == winner.pid
        assert all("is being" in line for line in told if line != "has it"), told
    finally:
        for process in many:
            end(process)


def test_two_of_one_process_exclude_each_other_and_one_may_ask_twice(tmp_path):
    first = RunLock(tmp_path)
    first.acquire()
    first.acquire()
    with pytest.raises(InputError, match=f"process {os.getpid()} on host"):
        RunLock(tmp_path).acquire()
    first.release()
    first.release()
    assert not first.held
    assert not (tmp_path / "lock").exists()


def test_a_forgotten_lock_is_given_back(tmp_path):
    forgotten = RunLock(tmp_path)
    forgotten.acquire()
    del forgotten
    RunLock(tmp_path).acquire()


def test_another_hosts_lock_is_refused_with_the_remedy_where_locks_may_not_reach_that_host(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "is_local", lambda folder: False)
    write_owner(tmp_path, host="elsewhere", pid=77)
    with pytest.raises(InputError, match=r"process 77 on host elsewhere; if that process is gone, remove .*lock"):
        RunLock(tmp_path).acquire()
    (tmp_path / "lock").unlink()
    RunLock(tmp_path).acquire()


def test_on_a_disk_of_this_computer_a_lock_that_nobody_holds_is_nobodys_whatever_host_it_names(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "is_local", lambda folder: True)
    write_owner(tmp_path, host="a-container-that-is-gone")
    first = RunLock(tmp_path)
    first.acquire()
    write_owner(tmp_path, host="a-container-that-runs")
    with pytest.raises(InputError, match=f"process {os.getpid()} on host a-container-that-runs; wait for it"):
        RunLock(tmp_path).acquire()


MOUNTS = r"""22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:25 / /data\040sets rw shared:7 master:2 - nfs4 server:/export rw
31 30 0:26 / /data\040sets/scratch rw - xfs /dev/sdb rw
32 22 0:27 / /home rw - ext4 /dev/sdc rw
33 32 0:28 / /home rw - fuse.sshfs me@elsewhere: rw"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/work/run", "ext4"),
        ("/data sets/run", "nfs4"),
        ("/data sets/scratch/run", "xfs"),
        ("/data sets/scratch-2/run", "nfs4"),
        ("/home/me", "fuse.sshfs"),
    ],
)
def test_a_folder_lies_on_the_deepest_mount_above_it_and_of_two_at_one_place_on_the_later(folder, kind):
    assert file_systems.type_of(pathlib.Path(folder), MOUNTS) == kind
    assert (kind in file_systems.LOCAL) == (kind in ("ext4", "xfs"))


def test_where_nothing_is_known_of_mounts_no_folder_is_local(tmp_path, monkeypatch):
    monkeypatch.setattr(file_systems, "_MOUNTS", tmp_path / "none")
    assert not file_systems.is_local(tmp_path)


def test_nothing_is_written_through_a_link_that_is_called_lock(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "run" / "lock").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match=r"lock is a link, to which nothing is written; remove it"):
        RunLock(tmp_path / "run").acquire()
    (tmp_path / "run" / "lock").unlink()
    (tmp_path / "run" / "lock").hardlink_to(tmp_path / "mine")
    RunLock(tmp_path / "run").acquire()
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_copys_lock_is_nobodys(tmp_path):
    (tmp_path / "run").mkdir()
    write_owner(tmp_path / "run", host="elsewhere")
    copy = shutil.copytree(tmp_path / "run", tmp_path / "copy")
    RunLock(copy).acquire()


def test_without_system_locks_a_number_that_was_given_to_a_later_process_is_known_by_its_start(
    tmp_path, no_system_locks
):
    write_owner(tmp_path)
    with pytest.raises(InputError, match=f"process {os.getpid()} on host"):
        RunLock(tmp_path).acquire()
    write_owner(tmp_path, started="long ago")
    RunLock(tmp_path).acquire()


def test_without_system_locks_a_claim_that_was_left_behind_is_named(tmp_path, no_system_locks):
    (tmp_path / "lock.claim").touch()
    with pytest.raises(InputError, match=r"claimed by another process; if it stays so, remove .*lock\.claim"):
        RunLock(tmp_path).acquire()


#: Also what Python's own reader takes, or fails at in other ways.
HOSTILE = {"host": "x" * 300, "pid": 7, "started": None, "inode": 3}
DAMAGED = [
    *(b"", b"{", b"[]", b'{"host": 1}', b"\xff" * 10_000, b"[" * 4000),
    b'{"host": "h", "pid": Infinity, "started": null, "inode": 3}',
    *(json.dumps(HOSTILE | changed).encode() for changed in ({}, {"host": "a\nb"}, {"host": "h", "pid": 10**3000})),
]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_lock_that_nobody_has_is_no_obstacle(content, tmp_path):
    (tmp_path / "lock").write_bytes(content)
    mine = RunLock(tmp_path)
    mine.acquire()
    assert json.loads((tmp_path / "lock").read_bytes())["pid"] == os.getpid()


def test_the_start_of_a_process_that_is_gone_is_not_known():
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert process_started(process.pid) not in (None, process_started(os.getpid()))
    process.communicate()
    assert process_started(process.pid) is None
