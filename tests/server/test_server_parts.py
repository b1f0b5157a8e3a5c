"""The pure parts of the server: colours, the cache, coordinates, the policy."""

from __future__ import annotations

import asyncio
import io
import threading

import numpy as np
import pytest
from PIL import Image

from s2s_map.errors import RegionError
from s2s_map.rasters.colours import MAGMA, rgb
from s2s_map.server.bounded_cache import BoundedCache
from s2s_map.server.colouring import png, ramp, steps
from s2s_map.server.find import coordinates, find
from s2s_map.server.requests import Refused, Workers
from s2s_map.server.security import content_policy

AROUND = (-54.8, -25.6, -54.2, -25.1)


def test_low_values_are_transparent_and_the_ramp_only_gets_fuller() -> None:
    colours = ramp()
    assert colours[0, 3] == 0
    assert (np.diff(colours[:, 3].astype(int)) >= 0).all()
    assert tuple(colours[0, :3]) == rgb(MAGMA[0])
    assert tuple(colours[-1, :3]) == rgb(MAGMA[-1])
    assert ramp(above=True)[:, 3].min() > 128


def test_steps_hold_ends_and_no_data() -> None:
    values = np.array([[np.nan, -1.0, 0.0], [0.5, 1.0, 9.0]])
    assert steps(values, (0.0, 1.0)).tolist() == [[0, 1, 1], [128, 255, 255]]
    assert steps(values, (0.0, 1.0), above=0.5).tolist() == [[0, 0, 0], [128, 255, 255]]


def test_a_png_has_the_colours_of_its_steps() -> None:
    picture = Image.open(io.BytesIO(png(np.array([[0, 1], [128, 255]], dtype=np.uint8))))
    pixels = np.asarray(picture.convert("RGBA"))
    assert pixels[0, 0, 3] == 0
    for (row, column), step in {(0, 1): 1, (1, 0): 128, (1, 1): 255}.items():
        assert pixels[row, column].tolist() == ramp()[step - 1].tolist()


def test_the_cache_is_bounded_and_drops_the_longest_unused() -> None:
    cache, made = BoundedCache(3000), []

    def make(key: str) -> tuple[np.ndarray]:
        made.append(key)
        return (np.zeros(1000, dtype=np.uint8),)

    for key in "abcab":
        cache.get(key, lambda key=key: make(key))
    assert made == list("abc")
    cache.get("d", lambda: make("d"))
    cache.get("a", lambda: make("a"))
    cache.get("c", lambda: make("c"))
    assert made == ["a", "b", "c", "d", "c"]
    assert cache.held_bytes == 3000
    cache.get("large", lambda: (np.zeros(4000, dtype=np.uint8),))
    assert cache.held_bytes == 3000


def test_who_asks_at_the_same_time_waits_and_shares_what_is_made() -> None:
    cache, began, go_on, made = BoundedCache(100), threading.Event(), threading.Event(), []

    def slow() -> tuple[np.ndarray]:
        made.append(1)
        began.set()
        go_on.wait()
        return (np.ones(1),)

    found: list[object] = []
    ask = lambda: found.append(cache.get("k", slow))  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(3)]
    threads[0].start()
    began.wait()
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert made == [1]
    assert len(found) == 3


def test_an_error_is_shared_and_not_kept() -> None:
    cache = BoundedCache(100)
    with pytest.raises(ZeroDivisionError):
        cache.get("k", lambda: (np.array(1 // 0),))
    assert cache.get("k", lambda: (np.ones(1),))[0] == 1


def test_more_at_work_than_is_bearable_is_refused() -> None:
    workers, go_on = Workers(1, 1), threading.Event()

    async def ask_three() -> list[object]:
        began = threading.Event()

        def slow() -> str:
            began.set()
            go_on.wait()
            return "done"

        first = asyncio.create_task(workers.run(slow))
        second = asyncio.create_task(workers.run(slow))
        while not began.is_set():
            await asyncio.sleep(0)
        assert workers.busy == 2
        with pytest.raises(Refused, match="too much at work"):
            await workers.run(slow)
        go_on.set()
        return [await first, await second]

    assert asyncio.run(ask_three()) == ["done", "done"]
    assert workers.busy == 0


@pytest.mark.parametrize(
    ("text", "lat", "lon", "said"),
    [
        ("-25.4, -54.6", -25.4, -54.6, "off this map"),
        ("-54.6 -25.4", -25.4, -54.6, "longitude, latitude"),
        ("25.4S 54.6W", -25.4, -54.6, ""),
        ("48N 11O", 48, -11, "O read as west"),
        ("W 54.6, S 25.4", -25.4, -54.6, ""),
        ("25°24'0\"S 54°36'0\"W", -25.4, -54.6, ""),
        ("25° 24.0′ S, 54° 36.0′ W", -25.4, -54.6, ""),
        ("lat: 10, lon: 20", 10, 20, "as most maps write it"),
        ("120.5 10", 10, 120.5, "beyond 90"),
        ("10; 120.5", 10, 120.5, "beyond 90"),
        ("48,2 16,4", 48.2, 16.4, "as most maps write it"),
        ("(−25.4, −54.6)", -25.4, -54.6, "off this map"),
    ],
)
def test_coordinates_in_either_order(text: str, lat: float, lon: float, said: str) -> None:
    found = coordinates(text, AROUND)
    assert found is not None
    assert found.bounds == pytest.approx((lon, lat, lon, lat))
    assert said in found.note
    assert found.is_point


@pytest.mark.parametrize("text", ["Kenya", "1 2 3", "5", "route 66 and 7", ""])
def test_what_is_no_two_coordinates(text: str) -> None:
    assert coordinates(text, AROUND) is None


def test_coordinates_that_are_nowhere() -> None:
    with pytest.raises(RegionError, match="latitude -90 to 90"):
        coordinates("200 100", AROUND)
    with pytest.raises(RegionError, match="one of N or S"):
        coordinates("5N 6N", AROUND)


def test_a_place_by_its_name() -> None:
    found = find("kenya", AROUND)
    assert found.label == "Kenya (KE)"
    west, south, east, north = found.bounds
    assert west < 37 < east
    assert south < 0 < north
    with pytest.raises(RegionError, match="Kenya"):
        find("Kenyaa", AROUND)


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    policy = content_policy()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "connect-src 'self' https://tiles.example" in content_policy("https://tiles.example")
