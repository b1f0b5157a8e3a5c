"""File systems that do not keep what a run relies on are told of."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from s2s_map.errors import OutputError
from s2s_map.outputs.disk_checks import FileSystem, mount_type, weaknesses
from s2s_map.outputs.disk_lock import OWNER, read_owner
from s2s_map.outputs.output import open_output
from s2s_map.outputs.owner import process_start


def test_a_disk_has_no_weakness(tmp_path: Path) -> None:
    assert weaknesses(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("off", "says"), [(3600.0, "3600 s behind"), (-90.0, "90 s ahead")])
def test_a_clock_that_differs(tmp_path: Path, off: float, says: str) -> None:
    (line,) = weaknesses(tmp_path, clock=lambda: time.time() + off)
    assert says in line
    assert "no decision rests on it" in line


@pytest.mark.parametrize(
    ("mount", "kind"),
    [
        ("s3fs {} fuse.s3fs rw 0 0", "fuse.s3fs s3fs"),
        ("mountpoint-s3 {} fuse rw 0 0", "fuse mountpoint-s3"),
    ],
)
def test_an_object_store_mounted_as_a_folder(tmp_path: Path, mount: str, kind: str) -> None:
    folder = tmp_path / "with space" / "out"
    folder.mkdir(parents=True)
    table = tmp_path / "mounts"
    point = str(folder.parent).replace(" ", "\\040")
    table.write_text(f"/dev/sda1 / ext4 rw 0 0\n{mount.format(point)}\nproc /proc proc rw 0 0\n")
    assert mount_type(folder, table) == kind
    assert mount_type(tmp_path, table) == "ext4"
    (line,) = weaknesses(folder, mounts=table)
    assert "renames are not atomic" in line
    assert weaknesses(tmp_path, mounts=table) == []


def test_a_folder_that_takes_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        weaknesses(tmp_path / "gone")


def _copies(new: Path, target: Path) -> None:
    """A rename that is a copy, as on object stores."""
    target.write_bytes(new.read_bytes())


def _refuses(*_: object) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _lets_everybody(*_: object) -> None:
    """A lock that each host keeps for itself, or nobody at all."""


@pytest.mark.parametrize(
    ("system", "says"),
    [
        (FileSystem(replace=_copies), "cannot replace a file by renaming"),
        (FileSystem(replace=_refuses), "cannot replace a file by renaming"),
        (FileSystem(flock=_refuses), "no locks that work; do not start two runs"),
        (FileSystem(flock=_lets_everybody), "no locks that work; do not start two runs"),
    ],
)
def test_what_a_file_system_lacks(tmp_path: Path, system: FileSystem, says: str) -> None:
    (line,) = weaknesses(tmp_path, system=system)
    assert says in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_run_without_locks_is_told_and_still_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def without(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", without)
    said: list[str] = []
    with open_output(tmp_path).locked(said.append):
        assert "without locks" in said[0]
        owner = read_owner(tmp_path)
        assert owner is not None
    # Nothing is left that keeps the next one out; one that lives is seen by its owner file.
    with open_output(tmp_path).locked():
        pass
    started = process_start(1)
    if started is not None:
        (tmp_path / OWNER).write_text(
            json.dumps(asdict(replace(owner, pid=1, process_start=started)))
        )
        with (
            pytest.raises(OutputError, match="another run is writing"),
            open_output(tmp_path).locked(),
        ):
            pytest.fail("two at once")


def test_another_error_of_a_lock_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    with (
        pytest.raises(OutputError, match="check the disk or server"),
        open_output(tmp_path).locked(),
    ):
        pytest.fail("held")


def test_a_run_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    with open_output(tmp_path).locked(said.append):
        assert said == []
