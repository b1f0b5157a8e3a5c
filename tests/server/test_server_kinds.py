"""Other kinds of runs: with time slots, in an object store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures_job import write_job
from fixtures_models import TINY_META
from fixtures_objects import new_bucket, serve_s3, use_s3
from fixtures_view import WATER, Client, make_run, viewing

from s2s_map.outputs.path import output_path
from s2s_map.pipeline.verbs.open_run import open_run
from s2s_map.pipeline.verbs.run import run

MONTHS = {"time_slots": [{"month": 5, "hour": 13}, {"month": 12, "hour": 3}]}


def test_time_slots_are_drawn_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = write_job(
        tmp_path, network=TINY_META, metadata={**MONTHS, "hour_reference": "utc"},
        patches={"stride_m": 640},
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    folder = run(job).folder
    maps = open_run(folder).maps
    with viewing(Path(str(folder))) as client:
        view = client.get("/api/view").json()
        assert [(slot["month"], slot["hour"]) for slot in view["slots"]] == [(5, 13), (12, 3)]
        west, south, east, north = view["runs"][0]["bounds"]
        lon, lat = west + 0.3 * (east - west), (south + north) / 2
        found = client.get("/api/place", lon=lon, lat=lat).json()
        cell = client.site.watched.last().runs[0].cell_at(lon, lat)
        assert cell is not None
        expected = maps.probability.sel(concept="waves").values[:, cell[0], cell[1]]
        np.testing.assert_allclose(found["layers"][0]["values"], expected)
        bounds = client.site.watched.last().bounds
        tiles = _tiles(client, bounds, "layer/waves", 2)
        assert tiles[0] != tiles[1]
        asked = client.ask("waves on a shore")
        values = client.get("/api/place", lon=lon, lat=lat, question=asked["id"]).json()
        np.testing.assert_allclose(values["layers"][-1]["values"], expected, rtol=1e-4)
        assert client.get(f"/tiles/{client.version}/layer/waves/2/0/0/0").status_code == 404


def test_an_object_store_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with serve_s3() as endpoint:
        use_s3(monkeypatch, endpoint)
        where = f"s3://{new_bucket(endpoint)}/maps/dam"
        make_run(where)
        with viewing(output_path(where)) as client:
            view = client.get("/api/view").json()
            assert [layer["name"] for layer in view["layers"]] == ["waves", "hostile"]
            before = client.version
            drawn = _tiles(client, view["bounds"], "layer/waves", 1)[0]
            assert len(drawn) > 1000
            found = client.get("/api/place", lon=WATER[0], lat=WATER[1]).json()
            assert found["layers"][0]["values"][0] > 0.01
            asked = client.ask("a ferry")
            assert len(_tiles(client, view["bounds"], f"question/{asked['id']}", 1)[0]) > 1000
            kept = client.post("/api/keep", {"question": asked["id"]}).json()
            assert kept["layer"] == "a-ferry"
            assert client.version != before


def _tiles(client: Client, bounds: list[float], path: str, slots: int) -> list[bytes]:
    """Return the tile of each time slot around the middle of what is looked at."""
    import morecantile

    lon, lat = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
    at = morecantile.tms.get("WebMercatorQuad").tile(lon, lat, 11)
    found = [
        client.get(f"/tiles/{client.version}/{path}/{slot}/11/{at.x}/{at.y}")
        for slot in range(slots)
    ]
    assert all(one.status_code == 200 for one in found), found[0].text
    return [one.content for one in found]
