"""Searches in parts: the same as one search, against servers that behave as the public ones do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import shapely
from fixtures_stac_api import QUERY, SORT, Asked, StacServer, fails, scene, serve_synthetic
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry
from starlette.responses import Response

from s2s_map.catalog.stac_items import choose, kept
from s2s_map.config.stac import StacEntry
from s2s_map.errors import ImageryError, SearchIncompleteError
from s2s_map.imagery.sources.stac.search.asking import SearchHole
from s2s_map.imagery.sources.stac.search.parts import LEAST_DEGREES, LEAST_PAGE, region_of
from s2s_map.imagery.sources.stac.search.walking import Found, search, search_again

START = datetime(2023, 1, 1, 8, tzinfo=UTC)
AREA = (34.2, -3.8, 39.9, 1.7)
TRIANGLE = shapely.Polygon([(34.2, 1.7), (39.9, 1.7), (39.9, -3.8)])


def scenes() -> list[dict[str, Any]]:
    """Tiles of one degree that overlap, seen every 15 days by two orbits, some processed twice."""
    found = []
    for col in range(7):
        for row in range(7):
            box = (33.5 + col, -4.5 + row, 34.6 + col, -3.4 + row)
            for visit in range(16):
                cloud = float((col * 7 + row * 11 + visit * 29) % 50)
                orbit = {"sat:relative_orbit": visit % 2}
                day = START + timedelta(days=15 * visit, minutes=col)
                tile = f"37{col}{row}"
                found.append(scene(tile, box, day, cloud, **orbit))
                if (col + visit) % 5 == 0:
                    newer = {"s2:processing_baseline": "05.10", **orbit}
                    name = f"{tile}_{visit}_again"
                    found.append(scene(tile, box, day, (cloud * 1.5) % 50, name, **newer))
    return found


SCENES = scenes()


@pytest.fixture(scope="module")
def served() -> Iterator[StacServer]:
    with serve_synthetic(StacServer(SCENES)) as server:
        yield server


@pytest.fixture
def server(
    served: StacServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StacServer]:
    monkeypatch.setenv("S2S_MAP_CACHE", str(tmp_path))
    served.asked.clear()
    served.extensions = (QUERY, SORT)
    served.misbehave, served.cap = lambda asked: None, 10_000
    yield served
    served.misbehave = lambda asked: None


def entry(server: StacServer, **fields: Any) -> StacEntry:
    manners = {"per_second": 10_000, "first_wait_s": 1e-3, "breaker_rest_s": 1e-3}
    manners |= fields.pop("manners", {})
    known = {
        "type": "stac",
        "title": "t",
        "url": server.url,
        "collection": "sentinel-2-l2a",
        "time": "2023-01-01/2023-12-31",
        "sensor": "sentinel",
        "licence": "l",
        "attribution": "a",
        "max_per_tile": 3,
        "manners": manners,
    }
    return StacEntry.model_validate(known | fields)


def by_one_search(
    server: StacServer, wanted: StacEntry, region: BaseGeometry, start: datetime, end: datetime
) -> list[str]:
    """What one look at all items chooses."""
    there = [
        kept(item, wanted)
        for item in server.items
        if region.intersects(shapely.box(*item["bbox"]))
        and start <= datetime.fromisoformat(item["properties"]["datetime"]) <= end
    ]
    return [item["id"] for item in choose(there, wanted)]


YEAR = datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 12, 31, 23, 59, 59, tzinfo=UTC)


SUMMER = datetime(2023, 5, 1, tzinfo=UTC), datetime(2023, 7, 31, 23, 59, 59, tzinfo=UTC)


def names(found: Found) -> list[str]:
    return [item["id"] for item in found.items]


def check_whole(server: StacServer, **fields: Any) -> Found:
    """Search the triangle and compare with one search; returns what was found."""
    wanted = entry(server, **fields)
    found = search(wanted, AREA, TRIANGLE)
    assert names(found) == by_one_search(server, wanted, region_of(AREA, TRIANGLE), *YEAR)
    assert not found.holes
    return found


# Some hundred requests in each example, as whatever is too large is parted again and again.
@pytest.mark.slow
@given(
    corner=st.tuples(st.floats(33.0, 39.0), st.floats(-4.0, 1.0)),
    size=st.tuples(st.floats(0.01, 2.2), st.floats(0.01, 2.2)),
    outline=st.sampled_from(["box", "ellipse", "two", None]),
    time=st.tuples(st.integers(0, 200), st.integers(1, 130)),
    extensions=st.sampled_from([(), (QUERY,), (SORT,), (QUERY, SORT)]),
    # Whatever is larger than this fails, in one of the ways known.
    largest=st.tuples(
        st.sampled_from([1.5, 9.0]), st.integers(60, 400), st.sampled_from([15, 40, 1000])
    ),
    answer=st.sampled_from([(500, "no"), (502, "no"), (400, "exceeded the maximum allowed time")]),
    per_tile=st.integers(1, 4),
)
@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_parts_find_what_one_search_finds(
    served: StacServer,
    corner: tuple[float, float],
    size: tuple[float, float],
    outline: str | None,
    time: tuple[int, int],
    extensions: tuple[str, ...],
    largest: tuple[float, int, int],
    answer: tuple[int, str],
    per_tile: int,
) -> None:
    (west, south), (width, height), (first, days) = corner, size, time
    side, longest, most = largest
    status, text = answer
    area = (west, south, west + width, south + height)
    shape = shapely.box(*area)
    if outline == "ellipse":
        shape = shapely.affinity.scale(shape.centroid.buffer(0.5), width, height)
    if outline == "two":
        island = shapely.Point(area[:2]).buffer(0.01)
        shape = shapely.union_all([shape.centroid.buffer(min(width, height) / 5), island])
    start = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=first)
    end = start + timedelta(days=days)
    served.extensions = extensions

    def too_large(asked: Asked) -> Response | None:
        w, s, e, n = asked.box
        large = max(e - w, n - s) > side or asked.days > longest or asked.limit > most
        return fails(status, text) if large else None

    served.misbehave = too_large
    interval = f"{start:%Y-%m-%d}/{end - timedelta(days=1):%Y-%m-%d}"
    wanted = entry(served, time=interval, max_per_tile=per_tile)
    region = region_of(area, None if outline is None else shape)
    expected = by_one_search(served, wanted, region, start, end - timedelta(microseconds=1))
    if not expected:
        with pytest.raises(ImageryError, match="no scenes of"):
            search(wanted, area, None if outline is None else shape)
        return
    found = search(wanted, area, None if outline is None else shape)
    found.parts.forget()
    assert names(found) == expected


def test_boxes_around_a_region_are_not_asked_for(server: StacServer) -> None:
    check_whole(server)
    region = region_of(AREA, TRIANGLE)
    assert all(region.intersects(shapely.box(*asked.box)) for asked in server.asked)
    corner = shapely.box(34.2, -3.8, 35.9, -2.1)
    assert not any(shapely.box(*asked.box).within(corner) for asked in server.asked)
    # Of the least cloudy one page each is enough.
    assert {asked.first for asked in server.asked} == {0}


def test_a_page_that_always_fails_is_gone_around(server: StacServer) -> None:
    def second_page(asked: Asked) -> Response | None:
        return fails(500) if asked.first == 20 else None

    server.extensions, server.cap = (), 20
    server.misbehave = second_page
    check_whole(server)
    assert any(asked.first == 20 for asked in server.asked)


@pytest.mark.parametrize("status", [500, 502, 413])
def test_pages_too_large_for_a_server_become_smaller(server: StacServer, status: int) -> None:
    server.misbehave = lambda asked: fails(status) if asked.limit > 30 else None
    check_whole(server, manners={"connections": 1})
    # It is found out once, not for every part.
    assert sum(asked.limit > 30 for asked in server.asked) == 2


@pytest.mark.parametrize("status", [400, 500, 504])
def test_searches_that_take_too_long_become_smaller(server: StacServer, status: int) -> None:
    def slow(asked: Asked) -> Response | None:
        west, _, east, _ = asked.box
        words = "The request exceeded the maximum allowed time, please try again."
        return fails(status, words) if east - west > 1.1 else None

    server.misbehave = slow
    check_whole(server)
    assert {asked.limit for asked in server.asked} == {100}


def test_a_busy_server_is_asked_again_after_what_it_says(server: StacServer) -> None:
    server.misbehave = lambda asked: (
        fails(429, "later", retry_after="1") if not asked.count else None
    )
    check_whole(server, manners={"longest_wait_s": 1e-3})
    # Nothing was asked in smaller parts for that.
    assert {asked.limit for asked in server.asked} == {100}


def test_pages_that_repeat_end(server: StacServer) -> None:
    first = json.dumps({"type": "FeatureCollection", "features": SCENES[:1], "links": []})
    loop = json.loads(first)

    def again(asked: Asked) -> Response | None:
        link = {"rel": "next", "href": f"{server.url}/search", "method": "POST", "merge": True}
        loop["links"] = [link]
        return Response(json.dumps(loop), media_type="application/json")

    server.misbehave = again
    with pytest.raises(SearchIncompleteError, match="a page that repeats"):
        search(entry(server), AREA, TRIANGLE)


def bad_item(asked: Asked) -> Response | None:
    """One scene that breaks whatever answer it is in."""
    return fails(500) if SCENES[400]["id"] in asked.page else None


def test_a_hole_is_named_and_asked_for_again(server: StacServer) -> None:
    broken = SCENES[400]
    server.misbehave = bad_item
    area = (35.0, -1.8, 37.9, 2.1)
    inside = shapely.box(*area)
    strict = entry(server, max_cloud=100, time="2023-05-01/2023-07-31")
    with pytest.raises(SearchIncompleteError) as refused:
        search(strict, area, inside)
    said = str(refused.value)
    assert "could not be had, such as [" in said
    assert "tried: pages of " in said
    assert "on_missing_search: nodata" in said
    assert refused.value.exit_code == 75
    before = len(server.asked)
    # What was answered is not asked again; without the scene it goes on when told so.
    lenient = entry(server, max_cloud=100, time=strict.time, on_missing_search="nodata")
    found = search(lenient, area, inside)
    assert len(server.asked) - before < before
    assert found.holes
    for hole in found.holes:
        assert shapely.box(*hole.box).intersects(shapely.box(*broken["bbox"]))
        assert max(hole.box[2] - hole.box[0], hole.box[3] - hole.box[1]) <= LEAST_DEGREES * 1.01
    assert min(asked.limit for asked in server.asked) == LEAST_PAGE
    server.misbehave = lambda asked: None
    items, left = search_again(lenient, found.holes)
    assert not left
    assert broken["id"] in {item["id"] for item in items}
    assert names(search(strict, area, inside)) == by_one_search(
        server, strict, region_of(area, inside), *SUMMER
    )


def test_a_killed_search_goes_on(server: StacServer) -> None:
    def dies(asked: Asked) -> Response | None:
        return fails(403, "not any more") if asked.count >= 12 else None

    server.misbehave = dies
    with pytest.raises(ImageryError, match="does not answer as one"):
        search(entry(server, manners={"connections": 1}), AREA, TRIANGLE)
    first = {(asked.box, asked.days) for asked in server.asked[:11]}
    server.asked.clear()
    server.misbehave = lambda asked: None
    found = check_whole(server)
    assert server.asked
    assert first.isdisjoint({(asked.box, asked.days) for asked in server.asked})
    # Once it is written elsewhere nothing is left, and the next search begins from the start.
    assert list(found.parts.folder.iterdir())
    found.parts.forget()
    assert not found.parts.folder.exists()


def test_a_dead_host_is_left_alone(server: StacServer) -> None:
    server.misbehave = lambda asked: fails(503, "down")
    manners = {"breaker_failures": 3, "breaker_rests": 1, "connections": 2}
    with pytest.raises(SearchIncompleteError, match=r"left alone after \d+ failures in a row"):
        search(entry(server, manners=manners), AREA, TRIANGLE)
    assert len(server.asked) < 12


def test_progress_is_told_in_parts(server: StacServer) -> None:
    said: list[Any] = []

    class Watch:
        def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
            said.append((stage, total, unit, done))

        def advance(self, count: int) -> None:
            said.append(count)

        def finish(self) -> None:
            said.append("finished")

    search(entry(server), AREA, TRIANGLE, Watch())
    (_, total, unit, done), *steps, last = said
    assert (unit, done, last) == ("parts", 0, "finished")
    assert sum(steps) == total > 10


def test_more_scenes_than_were_ever_asked_for_are_not_cut_off(
    server: StacServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a search is where the server says so, however many there were."""
    server.extensions, server.cap = (), 7
    wanted = entry(server, time="2023-01-01/2023-03-31", max_cloud=100, max_per_tile=64)
    found = search(wanted, (34.2, -3.8, 36.1, -1.9))
    doubles = sum(name.endswith("again") for name in server.asked[0].matched)
    (matched,) = {len(asked.matched) for asked in server.asked}
    assert {asked.first for asked in server.asked} == set(range(0, matched, 7))
    assert len(found.items) == matched - doubles


def test_holes_say_where_and_when() -> None:
    hole = SearchHole(
        (1.0, 2.0, 3.0, 4.0), "2023-01-01T00:00:00.000000Z/2023-02-01T00:00:00.000000Z", "r"
    )
    assert str(hole) == "[1.000, 2.000, 3.000, 4.000] 2023-01-01/2023-02-01"
