"""The imagery kept for pictures: it is no reason to lose a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures_job import write_job

from s2s_map.config.run import load_run_config
from s2s_map.errors import ImageryChangedError
from s2s_map.opening.handles import forget
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.maps import write_results as writing
from s2s_map.pipeline.maps.write_results import write_quicklook
from s2s_map.rasters.quicklook import read_imagery
from s2s_map.reporter import Reporter


class Notes(Reporter):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def test_a_scene_that_breaks_after_it_was_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_run_config(write_job(tmp_path))
    job = resolve(config)
    assert job.entry.on_missing == "fail"
    out, notes = tmp_path / "out", Notes()
    out.mkdir()
    write_quicklook(job, out, notes)
    assert notes.said == []
    good = read_imagery(out / "imagery.tif")
    assert good.valid.any()
    scene = tmp_path / "scene.tif"
    scene.write_bytes(scene.read_bytes()[: scene.stat().st_size // 2])
    forget(str(scene))
    monkeypatch.setattr(writing, "_READ_CELLS", 20)
    # While the run that was planned with it goes on it is changed imagery, as for any block.
    with pytest.raises(ImageryChangedError, match=r"scene\.tif was replaced or changed"):
        write_quicklook(job, out, notes)
    assert notes.said == []
    assert read_imagery(out / "imagery.tif").valid.any()
    # Between two runs it is a picture that is lost.
    write_quicklook(resolve(config), out, notes)
    assert not read_imagery(out / "imagery.tif").valid.any()
    (note,) = notes.said
    assert "no imagery in 4 parts, the maps are whole" in note
    assert "scene.tif cannot be read" in note
