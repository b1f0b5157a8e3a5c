"""What changes when a file is replaced, in a folder and in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2s_map.outputs.file_state import file_state
from s2s_map.outputs.staging import kept_copy


def test_a_file_of_the_same_size_put_in_place_is_another(tmp_path: Path) -> None:
    path, other = tmp_path / "run.json", tmp_path / "new"
    path.write_text("a")
    before = file_state(path)
    assert file_state(path) == before
    other.write_text("b")
    other.replace(path)
    assert file_state(path) != before
    path.unlink()
    with pytest.raises(FileNotFoundError):
        file_state(path)


def test_a_local_file_is_its_own_copy(tmp_path: Path) -> None:
    assert kept_copy(tmp_path / "a.tif", tmp_path / "copy.tif") == tmp_path / "a.tif"
