"""Who may write to an output folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event, Thread

import pytest

from s2s_map.errors import OutputError
from s2s_map.outputs import owner as module
from s2s_map.outputs.disk_lock import OWNER, FolderLock, read_owner
from s2s_map.outputs.owner import Owner, process_start

HOLDER = """
import sys, time
from pathlib import Path
from s2s_map.outputs.disk_lock import FolderLock
FolderLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(900)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_live_holder_is_named_and_a_dead_one_is_succeeded(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        try:
            with pytest.raises(OutputError, match=rf"another run.*process {process.pid} on"):
                FolderLock(tmp_path).acquire()
        finally:
            process.kill()
    # Killed, it left its owner file behind.
    left = read_owner(tmp_path)
    assert left is not None
    assert left.pid == process.pid
    lock = FolderLock(tmp_path)
    lock.acquire()
    mine = read_owner(tmp_path)
    assert mine is not None
    assert mine.run != left.run
    lock.check()
    lock.release()
    assert read_owner(tmp_path) is None


ELSEWHERE = replace(Owner.myself(), host="elsewhere", process_start="another-boot/pid:[1]/1")


def leave(folder: Path, owner: Owner) -> None:
    (folder / OWNER).write_text(json.dumps(asdict(owner)))


@pytest.mark.parametrize("start", ["another-boot/pid:[1]/1", "another-boot/1", ""])
def test_another_host_of_the_same_name_is_watched(tmp_path: Path, start: str) -> None:
    leave(tmp_path, replace(Owner.myself(), pid=2**22 + 1, process_start=start))
    notes: list[str] = []
    lock = FolderLock(tmp_path, notes.append, beat_s=0.02)
    lock.acquire()
    lock.release()
    assert "waiting to see" in notes[0]


def test_a_later_process_of_the_same_number_does_not_hold(tmp_path: Path) -> None:
    parent = Owner.myself().pid  # Alive, but it started at another time than the owner says.
    place = Owner.myself().process_start.rpartition("/")[0]
    leave(tmp_path, replace(Owner.myself(), pid=parent, process_start=f"{place}/1"))
    lock = FolderLock(tmp_path)
    lock.acquire()
    lock.release()
    assert process_start(parent) is not None
    assert process_start(2**22 + 1) is None


@pytest.mark.parametrize("pids", ["pid:[1]/77", "/"], ids=["container", "no telling"])
def test_a_killed_container_of_this_machine_is_not_waited_for(tmp_path: Path, pids: str) -> None:
    machine = Owner.myself().process_start.partition("/")[0]
    # Its process number may be in use here, by something else.
    leave(tmp_path, replace(Owner.myself(), host="c0ffee", process_start=f"{machine}/{pids}"))
    notes: list[str] = []
    lock = FolderLock(tmp_path, notes.append, beat_s=3600)
    lock.acquire()
    lock.release()
    assert notes == []


def test_without_the_system_s_locks_another_container_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", without)
    machine = Owner.myself().process_start.partition("/")[0]
    leave(tmp_path, replace(Owner.myself(), process_start=f"{machine}/pid:[1]/77"))
    notes: list[str] = []
    lock = FolderLock(tmp_path, notes.append, beat_s=0.02)
    lock.acquire()
    lock.release()
    assert "waiting to see" in notes[1]


def test_a_machine_has_a_name_only_if_it_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on macOS or Windows, without /proc.
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: open("/none/such"))  # noqa: PTH123, SIM115
    for node, name in ((0x3C22FB000001, "3c22fb000001"), (0x0242AC110002, ""), (1 << 40, "")):
        monkeypatch.setattr(uuid, "getnode", lambda node=node: node)
        assert module._machine.__wrapped__() == name


def test_another_host_holds_while_its_number_goes_up(tmp_path: Path) -> None:
    owner = replace(ELSEWHERE, pid=1)
    file, over = tmp_path / OWNER, Event()

    def live() -> None:
        beat = 0
        while not over.wait(0.02):
            beat += 1
            partial = tmp_path / "partial"
            partial.write_text(json.dumps(asdict(replace(owner, beat=beat))))
            partial.replace(file)

    leave(tmp_path, owner)
    thread = Thread(target=live)
    thread.start()
    try:
        with pytest.raises(OutputError, match="process 1 on elsewhere"):
            FolderLock(tmp_path, beat_s=0.2).acquire()
    finally:
        over.set()
        thread.join()
    notes: list[str] = []
    lock = FolderLock(tmp_path, notes.append, beat_s=0.1)
    lock.acquire()
    lock.release()
    assert "took" in notes[-1]
    assert "elsewhere" in notes[-1]


def test_who_lost_the_folder_writes_no_more(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path, beat_s=0.05)
    lock.acquire()
    leave(tmp_path, ELSEWHERE)
    assert lock._thread is not None
    lock._thread.join()
    with pytest.raises(OutputError, match="gave no sign of life"):
        lock.check()
    lock.release()
    assert read_owner(tmp_path) == ELSEWHERE
