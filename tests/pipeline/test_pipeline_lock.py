"""Who may write to an output folder."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event, Thread

import pytest

from s2s_map.errors import OutputError
from s2s_map.pipeline.lock import OWNER, FolderLock, Owner, process_start, read_owner

HOLDER = """
import sys, time
from pathlib import Path
from s2s_map.pipeline.lock import FolderLock
FolderLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
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


def boot() -> str:
    return Owner.myself().process_start.partition("/")[0]


def test_another_host_of_the_same_name_is_watched(tmp_path: Path) -> None:
    owner = replace(Owner.myself(), pid=2**22 + 1, process_start="another-boot/1")
    (tmp_path / OWNER).write_text(json.dumps(asdict(owner)))
    notes: list[str] = []
    lock = FolderLock(tmp_path, notes.append, beat_s=0.02)
    lock.acquire()
    lock.release()
    assert "waiting to see" in notes[0]


def test_a_later_process_of_the_same_number_does_not_hold(tmp_path: Path) -> None:
    parent = Owner.myself().pid  # Alive, but it started at another time than the owner says.
    owner = replace(Owner.myself(), pid=parent, process_start=f"{boot()}/1")
    (tmp_path / OWNER).write_text(json.dumps(asdict(owner)))
    lock = FolderLock(tmp_path)
    lock.acquire()
    lock.release()
    assert process_start(parent) is not None
    assert process_start(2**22 + 1) is None


def test_another_host_holds_while_its_number_goes_up(tmp_path: Path) -> None:
    owner = replace(Owner.myself(), host="elsewhere", pid=1)
    file, over = tmp_path / OWNER, Event()

    def live() -> None:
        beat = 0
        while not over.wait(0.02):
            beat += 1
            partial = tmp_path / "partial"
            partial.write_text(json.dumps(asdict(replace(owner, beat=beat))))
            partial.replace(file)

    file.write_text(json.dumps(asdict(owner)))
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
    other = replace(Owner.myself(), host="elsewhere")
    (tmp_path / OWNER).write_text(json.dumps(asdict(other)))
    assert lock._thread is not None
    lock._thread.join(timeout=10)
    with pytest.raises(OutputError, match="gave no sign of life"):
        lock.check()
    lock.release()
    assert read_owner(tmp_path) == other
