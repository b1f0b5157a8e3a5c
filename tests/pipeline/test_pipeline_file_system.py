"""File systems that do not keep what a run relies on are told of."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from s2s_map.pipeline.file_system import mount_type, weaknesses
from s2s_map.pipeline.folder import locked


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


def test_a_run_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    with locked(tmp_path, said.append):
        assert said == []
