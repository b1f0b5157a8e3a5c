"""Outputs appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from s2s_map.errors import OutputError
from s2s_map.outputs.atomic import (
    output_errors,
    remove_partials,
    replacing_file,
    replacing_folder,
)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize(
    ("number", "code", "remedy"),
    [
        (errno.ENOSPC, 2, "free some space"),
        (errno.EACCES, 2, "choose a folder"),
        (errno.ENAMETOOLONG, 2, "check the output folder"),
        (errno.ESTALE, 75, "start the same command again"),
        (errno.EIO, 75, "check the disk or server"),
    ],
)
def test_what_is_worth_another_start(tmp_path: Path, number: int, code: int, remedy: str) -> None:
    with pytest.raises(OutputError, match=remedy) as error, output_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    assert error.value.exit_code == code


def test_file_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "a.txt"
    with replacing_file(target) as partial:
        partial.write_text("whole")
        assert partial.suffix == ".txt"
        assert not target.exists()
    assert target.read_text() == "whole"
    assert names(target.parent) == ["a.txt"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(UnicodeEncodeError), replacing_file(target) as partial:
        partial.write_text("half \ud800", encoding="utf-8")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_folder_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "maps.zarr"
    for text in ("old", "new"):
        with replacing_folder(target) as partial:
            partial.mkdir()
            (partial / text).write_text(text)
    assert names(target) == ["new"]
    assert names(tmp_path) == ["maps.zarr"]


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "maps.zarr"
    target.mkdir()
    (target / "old").touch()
    # The new folder was never made: the old one, already moved aside, is put back.
    with pytest.raises(OutputError), replacing_folder(target):
        pass
    assert names(target) == ["old"]
    assert names(tmp_path) == ["maps.zarr"]


def test_system_errors_become_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match=r"cannot write .*: .*; check the output folder"),
        replacing_file(tmp_path / "file" / "a.txt"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="Permission denied; choose a folder"):
            replacing_file(tmp_path / "a.txt").__enter__()
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_whose_successor_did_not_come_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "maps.zarr"
    target.mkdir()
    (target / "old").touch()
    rename, calls = os.rename, []

    def killed(source: Path, there: Path) -> None:
        calls.append(there)
        if len(calls) == 2:
            raise KeyboardInterrupt  # Between the two renames, and nothing is tidied up:
        rename(source, there)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", killed)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt), replacing_folder(target) as partial:
            partial.mkdir()
    assert not target.exists()
    assert remove_partials(tmp_path) == 1
    assert names(tmp_path) == ["maps.zarr"]
    assert names(target) == ["old"]


def test_leftovers_of_killed_writers_are_removed(tmp_path: Path) -> None:
    writer = replacing_file(tmp_path / "a.txt")
    writer.__enter__().touch()  # and never ends
    (tmp_path / "kept.txt").touch()
    assert remove_partials(tmp_path) == 1
    assert names(tmp_path) == ["kept.txt"]
