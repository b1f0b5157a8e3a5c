"""What a person sees who opens ``project.qgz``, in the real QGIS without a display."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fixtures_maps import make_grid, make_imagery, make_layers, make_provenance
from fixtures_qgis import asked, needs_qgis

from s2s_map.rasters.cog import write_cogs
from s2s_map.rasters.qgis_project import write_project
from s2s_map.rasters.quicklook import write_imagery

SCRIPT = Path(__file__).with_name("check_project.py")
pytestmark = needs_qgis()
LAEA = "+proj=laea +lat_0=20 +lon_0=-60 +datum=WGS84 +units=m"


def make_project(folder: Path, slots: tuple[str, ...] = ("any",), **grid: Any) -> Path:
    """Write two concepts over imagery and their project."""
    folder.mkdir()
    made = make_grid(**grid)
    layers = make_layers(made, 2, len(slots))
    write_cogs(folder, layers, made, slots, {})
    image = make_imagery(made)
    write_imagery(folder / "imagery.tif", image.pixels, image.valid, made.geobox)
    path = folder / "project.qgz"
    write_project(path, layers, made, slots, make_provenance(), imagery=True)
    return path


def opened(path: Path) -> dict[str, Any]:
    """Return what QGIS says of a project."""
    seen: dict[str, Any] = asked(SCRIPT, str(path))
    assert seen["read"], seen["error"]
    assert seen["invalid"] == []
    return seen


@pytest.mark.parametrize("crs", ["EPSG:32621", LAEA])
def test_the_first_layer_lies_over_the_imagery(tmp_path: Path, crs: str) -> None:
    made = make_project(tmp_path / "made here", crs=crs)
    # Paths are relative: the folder may be moved.
    folder = tmp_path / "taken there"
    shutil.move(made.parent, folder)
    seen = opened(folder / "project.qgz")
    assert seen["title"] == "demo"
    assert seen["crs_valid"]
    assert seen["crs"] == ("" if crs == LAEA else crs)
    assert seen["extent"] == list(make_grid(crs=crs).bounds)
    sounds = [["birdsong", True, None], ["traffic and car horns in a busy street", False, None]]
    assert seen["tree"] == [["Sounds", True, sounds], ["Imagery", True, None]]
    renderers = [layer["renderer"] for layer in seen["layers"]]
    assert renderers == ["singlebandpseudocolor", "singlebandpseudocolor", "multibandcolor"]
    for layer in seen["layers"]:
        assert "U.S. Geological Survey" in layer["attribution"]
        assert "Apache-2.0" in layer["rights"][0]
        assert layer["time"] == []
    # Cells under imagery of three waves: more colours than the ramp has, since the ground is seen.
    assert seen["picture"] > 500


@pytest.mark.parametrize(
    ("slots", "frames"),
    [
        (("03", "11", "12"), {0: "birdsong, 03", 8: "birdsong, 11", 9: "birdsong, 12"}),
        (("06h-local", "18h-local"), {0: "birdsong, 06h-local", 12: "birdsong, 18h-local"}),
        (("05-06h", "05-18h", "06-06h", "06-18h"), {0: "birdsong, 05-06h", 1: "birdsong, 06-06h"}),
    ],
)
def test_time_slots_play(tmp_path: Path, slots: tuple[str, ...], frames: dict[int, str]) -> None:
    seen = opened(make_project(tmp_path / "out", slots))
    # Animated from the beginning, else all slots lie over each other.
    assert seen["mode"] == 1
    assert len(seen["frames"]) == max(frames) + 1
    for index, shown in enumerate(seen["frames"]):
        assert shown == [*([frames[index]] if index in frames else []), "Imagery"]


def test_hostile_titles_are_text(tmp_path: Path) -> None:
    grid = make_grid()
    (layer,) = make_layers(grid, 1)
    object.__setattr__(layer, "title", '<img onerror="x"> & ]]> \N{SNOWMAN}')
    write_cogs(tmp_path, [layer], grid, ["any"], {})
    path = tmp_path / "project.qgz"
    write_project(path, [layer], grid, ["any"], make_provenance(), imagery=False)
    seen = opened(path)
    assert seen["tree"] == [["Sounds", True, [[layer.title, True, None]]]]


def test_twice_the_same_file(tmp_path: Path) -> None:
    one, two = (make_project(tmp_path / name).read_bytes() for name in ("a", "b"))
    assert one == two
    with zipfile.ZipFile(tmp_path / "a" / "project.qgz") as archive:
        assert archive.namelist() == ["project.qgs"]
        assert str(tmp_path) not in archive.read("project.qgs").decode()
