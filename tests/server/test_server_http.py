"""The server over real HTTP: what it answers, what it refuses, what it never does."""

from __future__ import annotations

import dataclasses
import io
import json
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio
from fixtures_view import BOX, HOSTILE, LAND, WATER, WAVES, Client, make_run, viewing
from PIL import Image

from s2s_map.encoding.audio_file import decode_recording
from s2s_map.errors import QueryError
from s2s_map.pipeline.verbs.open_run import open_run
from s2s_map.pipeline.verbs.overviews import add_overviews
from s2s_map.pipeline.verbs.query import query
from s2s_map.scoring.probability import score_concepts
from s2s_map.server.colouring import ramp
from s2s_map.server.tile_grid import TILE_PX, Tile, window_of
from s2s_map.server.viewed_run import ViewedRun

Z, X, Y = 11, 713, 1173


@pytest.fixture
def writable(finished: Path, tmp_path: Path) -> Iterator[Client]:
    with viewing(Path(shutil.copytree(finished, tmp_path / "copy"))) as client:
        yield client


def picture(answered: httpx.Response) -> np.ndarray:
    assert answered.status_code == 200, answered.text
    return np.asarray(Image.open(io.BytesIO(answered.content)).convert("RGBA"))


def test_the_view_says_all_that_the_page_needs(client: Client) -> None:
    view = client.get("/api/view").json()
    assert [layer["name"] for layer in view["layers"]] == ["waves", "hostile"]
    assert view["layers"][1]["title"] == HOSTILE
    assert view["layers"][0]["label"] == "probability (softmax, uncalibrated)"
    assert "Landsat 8 image courtesy" in view["attribution"]
    assert view["bounds"][0] < WATER[0] < view["bounds"][2]
    assert len(view["ramp"]) == 255


def test_a_tile_has_the_colours_of_its_layer(client: Client, finished: Path) -> None:
    run = ViewedRun.open(finished)
    tile = Tile(Z, X, Y)
    window = window_of(tile, run.grid.geobox)
    assert window is not None
    layer = run.layers["waves"]
    cells = window.drawn(np.asarray(layer.probability[0, window.rows, window.columns]))
    low, high = layer.colour_range
    share = np.clip((cells - low) / (high - low), 0, 1)
    drawn = picture(client.get(f"/tiles/{client.version}/layer/waves/0/{Z}/{X}/{Y}"))
    # GDAL's own approximation of the projection may choose the neighbour at a cell's edge.
    sound = np.isfinite(share)
    expected = ramp()[np.rint(np.where(sound, share, 0) * 254).astype(int)]
    same = np.where(sound, (expected == drawn).all(axis=-1), drawn[..., 3] == 0)
    assert same.mean() > 0.99
    assert drawn.shape == (TILE_PX, TILE_PX, 4)


def test_a_question_is_drawn_as_its_layer_would_be(client: Client, finished: Path) -> None:
    # The same question as the layer's: the values must be those of maps.zarr.
    asked = client.ask(WAVES)
    maps = open_run(finished).maps.probability.sel(concept="waves").values[0]
    site = client.site
    question = site.answers.question(asked["id"])
    viewed = site.watched.last()
    run = viewed.runs[0]
    whole = site.pieces.window(
        viewed, run, question.id, question.group(run), 0, 0,
        slice(0, maps.shape[0]), slice(0, maps.shape[1]),
    )  # fmt: skip
    # A product of 256 numbers in another order, divided by the temperature.
    np.testing.assert_allclose(whole, maps, rtol=1e-4, atol=1e-7)
    one = picture(client.get(f"/tiles/{client.version}/layer/waves/0/{Z}/{X}/{Y}"))
    two = picture(client.get(f"/tiles/{client.version}/question/{asked['id']}/0/{Z}/{X}/{Y}"))
    assert ((one[..., 3] > 0) == (two[..., 3] > 0)).mean() > 0.97


def test_zoomed_out_an_answer_is_that_to_the_mean(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "copy"))
    add_overviews(folder, cells=32)
    with viewing(folder) as client:
        asked = client.ask("a lake")
        assert asked["levels"][:2] == [160, 320]
        site = client.site
        viewed, question = site.watched.last(), site.answers.question(asked["id"])
        run = viewed.runs[0]
        group = question.group(run)
        coarse = site.pieces.levels(viewed, run)[1]
        rows, columns = slice(0, coarse.geobox.shape[0]), slice(0, coarse.geobox.shape[1])
        vectors, counts = coarse.read(rows, columns)
        found = site.pieces.window(viewed, run, question.id, group, 1, 0, rows, columns)
        assert np.array_equal(np.isfinite(found), counts > 0)
        seen = counts > 0
        expected, _ = score_concepts(
            vectors[seen], group.vectors, group.background, group.keep, group.method
        )
        np.testing.assert_allclose(found[seen], expected[0], rtol=1e-4)
        # Far out a tile is drawn of it, nearer of the finest.
        far, near = Tile(7, 44, 73), Tile(11, 713, 1173)
        for tile, level in ((far, -1), (near, 0)):
            drawn = site.answers.tile(viewed, question, viewed.time_slots[0], tile)
            window = window_of(tile, site.pieces.levels(viewed, run)[level].geobox)
            assert window is not None
            alpha = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGBA"))[..., 3]
            assert (alpha > 0).sum() > 0
            assert (alpha[~window.inside] == 0).all()


def test_asking_finds_water_where_water_is(client: Client) -> None:
    asked = client.ask("a lake with waves", "boats on the water", minus=["traffic"])
    values = {}
    for name, (lon, lat) in {"water": WATER, "land": LAND}.items():
        found = client.get("/api/place", lon=lon, lat=lat, question=asked["id"]).json()
        values[name] = found["layers"][-1]["values"][0]
    assert values["water"] > 10 * values["land"]
    assert asked["title"] == "a lake with waves + boats on the water − traffic"
    heard = client.get("/api/place", lon=WATER[0], lat=WATER[1], part="heard").json()
    assert len(heard["texts"]) == 10
    assert any("water" in one["text"] for one in heard["texts"][:4])
    shares = [one["share"] for one in heard["texts"]]
    assert shares == sorted(shares, reverse=True)


def test_a_place_has_its_numbers_and_its_name(client: Client, finished: Path) -> None:
    run = ViewedRun.open(finished)
    found = client.get("/api/place", lon=WATER[0], lat=WATER[1]).json()
    cell = run.cell_at(*WATER)
    assert cell is not None
    with rasterio.open(finished / "waves.tif") as maps:
        expected = float(maps.read(1)[cell])
    assert found["layers"][0]["values"] == [pytest.approx(expected)]
    assert found["place"] in ("Paraná, Brazil", "Alto Paraná, Paraguay")
    away = client.get("/api/place", lon=10, lat=50)
    assert away.status_code == 400
    assert away.json()["error"] == "10.0000 50.0000 is outside the map"


def test_an_area_is_that_of_the_cells(client: Client, finished: Path) -> None:
    values = open_run(finished).maps.probability.sel(concept="waves").values
    found = client.get("/api/area", layer="waves", above=0.02).json()
    assert found["km2"] == pytest.approx((values >= np.float32(0.02)).sum() * 0.0256)
    assert found["of_km2"] == pytest.approx(np.isfinite(values).sum() * 0.0256)
    asked = client.ask(WAVES)
    other = client.get("/api/area", question=asked["id"], above=0.02).json()
    assert other["km2"] == pytest.approx(found["km2"], rel=0.01)


def test_a_threshold_leaves_only_what_is_above(client: Client) -> None:
    path = f"/tiles/{client.version}/layer/waves/0/{Z}/{X}/{Y}"
    whole, part = (picture(client.get(path, **how)) for how in ({}, {"above": 0.03}))
    assert 0 < (part[..., 3] > 0).sum() < (whole[..., 3] > 0).sum()
    assert part[..., 3][part[..., 3] > 0].min() > 128


def test_imagery_is_drawn_and_nothing_beside_it(client: Client) -> None:
    drawn = picture(client.get(f"/tiles/{client.version}/imagery/{Z}/{X}/{Y}"))
    assert drawn[..., 3].max() == 255
    elsewhere = picture(client.get(f"/tiles/{client.version}/imagery/{Z}/10/10"))
    assert elsewhere[..., 3].max() == 0


def test_from_afar_no_more_is_read_than_the_file(client: Client) -> None:
    # GDAL would warp half a world of cells of 160 m: a minute, and gigabytes.
    kept, viewed = client.site.kept, client.site.watched.now()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for tile in (Tile(3, 2, 4), Tile(2, 1, 2), Tile(0, 0, 0)):
        kept.layer(viewed, "waves", "any", tile)
        kept.imagery(viewed, tile)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400_000
    drawn = picture(client.get(f"/tiles/{client.version}/layer/waves/0/6/22/36"))
    assert 5 < (drawn[..., 3] > 0).sum() < 5_000


def test_a_run_without_imagery_shows_its_layers(writable: Client) -> None:
    (writable.site.folder / "imagery.tif").unlink()
    blank = picture(writable.get(f"/tiles/{writable.version}/imagery/{Z}/{X}/{Y}"))
    assert not blank[..., 3].any()


def test_why_shows_the_patch_and_writes_nothing(client: Client, finished: Path) -> None:
    before = sorted(path.name for path in finished.iterdir())
    lon, lat = WATER
    for asked in ({"layer": "waves"}, {"question": client.ask("a ferry")["id"]}):
        answered = client.post("/api/why", {"lon": lon, "lat": lat, **asked})
        found = answered.json()
        assert len(found["heat"]) == len(found["heat"][0]) == 14
        assert found["patch"].startswith("data:image/png;base64,")
        assert len(found["codes"]) == 5
    assert sorted(path.name for path in finished.iterdir()) == before


def test_what_is_taken_away_is_the_layer(client: Client, finished: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.tif"
    for asked in ({"layer": "waves"}, {"question": client.ask(WAVES)["id"]}):
        file.write_bytes(client.get("/api/layer.tif", **asked).content)
        with rasterio.open(file) as taken, rasterio.open(finished / "waves.tif") as there:
            assert taken.transform == there.transform
            assert taken.crs == there.crs
            np.testing.assert_allclose(taken.read(1), there.read(1), rtol=1e-4, atol=1e-7)
            assert "Landsat 8" in taken.tags()["ATTRIBUTION"]
    seen = f"{BOX[0]},{BOX[1]},{(BOX[0] + BOX[2]) / 2},{BOX[3]}"
    file.write_bytes(client.get("/api/layer.tif", layer="waves", seen=seen).content)
    with rasterio.open(file) as taken, rasterio.open(finished / "waves.tif") as there:
        assert 0.4 < taken.width / there.width < 0.6
        assert taken.transform.c % 160 == there.transform.c % 160
    off = client.get("/api/layer.tif", layer="waves", seen="0,0,1,1")
    assert off.json()["error"].startswith("nothing of the map is seen")


@pytest.mark.parametrize("turn", [-360, 0, 360, 720])
def test_what_is_seen_in_another_turn_around_the_earth_is_taken_away(
    client: Client, turn: int
) -> None:
    west, south, east, north = BOX
    seen = f"{west + turn},{south},{east + turn},{north}"
    here = client.get("/api/layer.tif", layer="waves", seen=",".join(map(str, BOX)))
    there = client.get("/api/layer.tif", layer="waves", seen=seen)
    assert there.status_code == 200, there.text
    assert there.content == here.content


def test_the_whole_earth_seen_is_the_whole_layer(client: Client) -> None:
    whole = client.get("/api/layer.tif", layer="waves").content
    assert client.get("/api/layer.tif", layer="waves", seen="-400,-89,400,89").content == whole


def test_keeping_writes_a_layer_that_the_view_then_has(writable: Client) -> None:
    asked = writable.ask("a motorboat")
    before = writable.version
    kept = writable.post("/api/keep", {"question": asked["id"]}).json()
    assert kept["layer"] == "a-motorboat"
    assert kept["version"] != before
    folder = writable.site.watched.last().runs[0].folder
    assert (folder / "a-motorboat.tif").is_file()
    names = [layer["name"] for layer in writable.get("/api/view").json()["layers"]]
    assert names == ["waves", "hostile", "a-motorboat"]
    # Addresses of what was there before say so.
    old = writable.get(f"/tiles/{before}/layer/waves/0/{Z}/{X}/{Y}")
    assert old.status_code == 409
    assert "written anew" in old.json()["error"]


def test_a_run_that_is_replaced_is_seen(writable: Client) -> None:
    before = writable.version
    query(writable.site.folder, "crickets", name="third")
    assert writable.version != before
    layers = writable.get("/api/view").json()["layers"]
    assert [layer["name"] for layer in layers] == ["waves", "hostile", "third"]


def test_a_question_to_another_model_is_to_be_asked_again(client: Client) -> None:
    question = client.site.answers.question(client.ask("boats")["id"])
    other = dataclasses.replace(question, questions={})
    with pytest.raises(QueryError, match="asked of another model"):
        other.group(client.site.watched.now().runs[0])


def test_a_recording_is_taken_and_asked(writable: Client) -> None:
    owl = Path("s2s_map/sample_data/sounds/owl.mp3").read_bytes()
    name = "../../etc/My%20Owl%3F.mp3"
    sent = writable.post("/api/recordings", owl, **{"x-name": name}).json()
    assert sent["name"] == "my-owl"
    assert sent["seconds"] == pytest.approx(decode_recording(owl, "owl").seconds, abs=0.01)
    asked = writable.post("/api/questions", {"texts": [], "recording": sent["id"]}).json()
    assert asked["title"] == "recording my-owl"
    kept = writable.post("/api/keep", {"question": asked["id"], "name": "owl"}).json()
    assert kept["layer"] == "owl"
    no_sound = writable.post("/api/recordings", b"hello", **{"x-name": "a.wav"})
    assert no_sound.status_code == 400
    unknown = writable.post("/api/questions", {"texts": [], "recording": "/etc/passwd"})
    assert unknown.json()["error"].startswith("no recording '/etc/passwd' was sent")


@pytest.mark.parametrize("path", ["/api/questions", "/api/recordings", "/api/keep", "/api/why"])
def test_what_writes_or_asks_needs_the_token(client: Client, path: str) -> None:
    for token in ("", "wrong", client.token[:-1]):
        refused = client.post(path, {}, **{"x-s2s-map-token": token})
        assert refused.status_code == 403
        assert "the whole address" in refused.json()["error"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1"]
)
def test_other_names_are_refused(client: Client, host: str) -> None:
    port = client.root.rpartition(":")[2]
    given = {"host": host.format(port=port)}
    refused = httpx.get(f"{client.root}/api/view", headers=given, trust_env=False)
    assert refused.status_code == 421
    named = {"host": f"localhost:{port}"}
    assert httpx.get(f"{client.root}/", headers=named, trust_env=False).status_code == 200


def test_pages_of_others_may_not_ask(client: Client) -> None:
    other = {"origin": "https://evil.example", "x-s2s-map-token": client.token}
    refused = httpx.post(f"{client.root}/api/questions", headers=other, json={}, trust_env=False)
    assert refused.status_code == 403


def test_every_answer_carries_the_policy(client: Client) -> None:
    for path in ("/", "/api/view", "/nothing", "/page/main.js"):
        headers = client.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/page/../../../../etc/passwd",
        "/page/%2e%2e/%2e%2e/app.py",
        "/page//etc/passwd",
        "/page/index.html%00",
        "/tiles/{v}/layer/..%2f..%2frun/0/1/1/1",
        "/tiles/{v}/layer/waves/7/1/1/1",
        "/tiles/{v}/layer/waves/0/1/5/5",
        "/tiles/{v}/layer/waves/0/99/0/0",
        "/tiles/{v}/layer/waves/-1/1/0/0",
        "/tiles/{v}/layer/waves/0/1/" + "9" * 5000 + "/1",
        "/tiles/{v}/layer/waves/0/1/1/1?above=1e308",
        "/run.json",
        "/api/area?layer=/etc/passwd&above=1",
    ],
)
def test_no_path_reaches_the_disk(client: Client, path: str) -> None:
    address = httpx.URL(client.root + path.format(v=client.version))
    answered = httpx.get(address, trust_env=False)
    assert answered.status_code in (404, 400)
    assert set(answered.json()) == {"error"}
    assert "\n" not in answered.json()["error"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not json", "no JSON object"),
        (b"[1]", "no JSON object"),
        (b"[" * 50_000, "no JSON object"),
        (b"{" + b" " * 70_000 + b"}", "too large"),
        ({"texts": "a"}, "texts that is no list"),
        ({"texts": [1]}, "texts that is no list"),
        ({"texts": []}, "no question"),
        ({"texts": ["a" * 301]}, "a text of 301 characters"),
        ({"texts": ["a"] * 9}, "a question of 9 parts"),
        ({"texts": ["birds"], "minus": ["birds"]}, "cancel out"),
        ({"texts": ["a"], "recording": 7}, "recording that is no text"),
    ],
)
def test_bad_questions_are_one_line(client: Client, content: object, said: str) -> None:
    answered = client.post("/api/questions", content)
    assert answered.status_code in (400, 413)
    assert said in answered.json()["error"]
    assert "Traceback" not in answered.text


def test_a_number_that_no_place_has_is_one_line(client: Client) -> None:
    content = b'{"lon": 1' + b"0" * 400 + b', "lat": 1, "layer": "waves"}'
    assert client.post("/api/why", content).json()["error"].startswith("lon that is no number")


def test_too_large_a_recording_is_not_read(client: Client) -> None:
    refused = client.post("/api/recordings", b"0" * 50_000_001, **{"x-name": "a.wav"})
    assert refused.status_code == 413
    assert "at most 50 MB" in refused.json()["error"]


def test_what_cannot_be_had_says_so_and_the_rest_works(writable: Client) -> None:
    shutil.rmtree(writable.site.folder / "embeddings.zarr")
    lon, lat = WATER
    assert writable.get("/api/place", lon=lon, lat=lat).json()["layers"]
    heard = writable.get("/api/place", lon=lon, lat=lat, part="heard")
    assert heard.status_code == 400
    assert "no embeddings store" in heard.json()["error"]
    assert "no embeddings store" in writable.post("/api/questions", {"texts": ["a bird"]}).text


def test_a_batch_is_one_map(tmp_path: Path) -> None:
    middle = (BOX[0] + BOX[2]) / 2
    sides = {"west": (BOX[0], BOX[1], middle, BOX[3]), "east": (middle, BOX[1], BOX[2], BOX[3])}
    for name, box in sides.items():
        make_run(tmp_path / name, box, [WAVES])
    runs = [{"name": name} for name in (*sides, "later", "../elsewhere")]
    (tmp_path / "batch.json").write_text(json.dumps({"schema": 1, "runs": runs}))
    with viewing(tmp_path) as client:
        view = client.get("/api/view").json()
        assert len(view["runs"]) == 2
        assert view["missing"] == ["later is not finished"]
        assert [layer["name"] for layer in view["layers"]] == ["waves"]
        whole = client.get("/api/layer.tif", layer="waves")
        assert "a layer of 2 runs" in whole.json()["error"]
        assert client.get("/api/layer.tif", layer="waves", seen="-60,-30,-50,-20").is_success
        drawn = picture(client.get(f"/tiles/{client.version}/layer/waves/0/{Z}/{X}/{Y}"))
        asked = client.ask("boats")
        answer = picture(
            client.get(f"/tiles/{client.version}/question/{asked['id']}/0/{Z}/{X}/{Y}")
        )
        for one in (drawn, answer):
            columns = np.flatnonzero((one[..., 3] > 0).any(axis=0))
            # Over the border between the two.
            assert columns.max() - columns.min() > 200
        for lon, run in ((BOX[0] + 0.01, 0), (BOX[2] - 0.01, 1)):
            found = client.get("/api/place", lon=lon, lat=-25.35).json()
            assert found["layers"][0]["values"][0] is not None, run
        client.post("/api/keep", {"question": asked["id"]}).raise_for_status()
        assert all((tmp_path / name / "boats.tif").is_file() for name in sides)
