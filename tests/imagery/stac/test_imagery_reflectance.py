"""Numbers to reflectance and true colour; composites; time; tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from fixtures_servers import serve_app
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from s2s_map.config.scale import ValueScale
from s2s_map.config.stac import TRUE_COLOUR, resolve_time
from s2s_map.errors import ImageryError
from s2s_map.imagery.sources.stac.composite import composite
from s2s_map.imagery.sources.stac.reflectance import boa_offset, corrected, true_colour
from s2s_map.opening.signing import signed

OLD, NEW = datetime(2020, 6, 1, tzinfo=UTC), datetime(2022, 6, 1)
RASTER = {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}


@pytest.mark.parametrize(
    ("properties", "band", "taken", "offset"),
    [
        # Earth Search: what was applied was applied, whatever raster:bands says.
        (
            {"earthsearch:boa_offset_applied": True, "s2:processing_baseline": "05.09"},
            RASTER,
            NEW,
            0,
        ),
        ({"sentinel:boa_offset_applied": True}, RASTER, NEW, 0),
        ({"earthsearch:boa_offset_applied": False}, RASTER, NEW, -1000),
        (
            {"earthsearch:boa_offset_applied": False, "s2:processing_baseline": "04.00"},
            {},
            NEW,
            -1000,
        ),
        ({"earthsearch:boa_offset_applied": False, "s2:processing_baseline": "02.14"}, {}, OLD, 0),
        # Collection 1 and STAC 1.1.
        ({"s2:processing_baseline": "05.00"}, RASTER, OLD, -1000),
        ({}, {"raster:offset": -0.1, "raster:scale": 0.0001}, OLD, -1000),
        ({}, {"raster:bands": [{"scale": 0.0001, "offset": 0}]}, NEW, 0),
        # Planetary Computer: the baseline alone.
        ({"s2:processing_baseline": "04.00"}, {}, NEW, -1000),
        ({"s2:processing_baseline": "03.01"}, {}, NEW, 0),
        ({"s2:processing_baseline": "05.00"}, {}, OLD, -1000),
        # Nothing but the day.
        ({}, {}, OLD, 0),
        ({}, {}, NEW, -1000),
        ({"s2:processing_baseline": "unknown"}, {}, datetime(2022, 1, 25, tzinfo=UTC), -1000),
        ({}, {}, datetime(2022, 1, 24, 23, 59, tzinfo=UTC), 0),
    ],
)
def test_the_offset_of_baseline_0400(
    properties: dict[str, Any], band: dict[str, Any], taken: datetime, offset: int
) -> None:
    assert boa_offset(properties, band, taken) == offset


def test_dark_ground_is_not_nodata() -> None:
    numbers = np.array([0, 1, 999, 1000, 1001, 3000, 65_535], dtype=np.uint16)
    assert corrected(numbers, -1000).tolist() == [0, 1, 1, 1, 1, 2000, 32_767]
    assert corrected(numbers, 0).tolist()[:6] == [0, 1, 999, 1000, 1001, 3000]


def test_true_colour_is_the_documented_formula() -> None:
    numbers = np.arange(0, 20_000, 7, dtype=np.uint16)
    share = np.clip(numbers / 10_000 / TRUE_COLOUR.max, 0, 1) ** (1 / TRUE_COLOUR.gamma)
    assert np.abs(true_colour(numbers, TRUE_COLOUR) - 255.0 * share).max() <= 0.51
    colours = true_colour(numbers, TRUE_COLOUR)
    assert (np.diff(colours.astype(int)) >= 0).all()
    assert colours.max() == 255
    linear = true_colour(np.array([[500, 1000]], dtype=np.uint16), ValueScale(min=0, max=0.2))
    assert linear.tolist() == [[64, 128]]


@given(st.data())
def test_the_median_is_of_what_is_seen(data: st.DataObject) -> None:
    scenes = data.draw(st.integers(1, 7))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    numbers = rng.integers(0, 5000, (scenes, 3, 4, 5), dtype=np.uint16)
    classes = rng.integers(0, 12, (scenes, 4, 5), dtype=np.uint8)
    clear = (4, 5, 6)
    pixels, observed = composite(numbers, classes, clear, "median")
    best, _ = composite(numbers, classes, clear, "best")
    for row in range(4):
        for col in range(5):
            seen = [
                i
                for i in range(scenes)
                if classes[i, row, col] in clear and numbers[i, :, row, col].all()
            ]
            assert observed[row, col] == bool(seen)
            if not seen:
                assert not pixels[:, row, col].any()
                continue
            expected = np.median(numbers[seen][:, :, row, col], axis=0)
            assert np.abs(pixels[:, row, col] - expected).max() <= 0.5
            assert (best[:, row, col] == numbers[seen[0], :, row, col]).all()


def test_the_best_is_the_surest_then_the_first() -> None:
    numbers = np.arange(1, 10, dtype=np.uint16).reshape(3, 3, 1, 1)
    unsure, sure = 7, 4
    for classes, winner in (((unsure, sure, sure), 1), ((unsure, unsure, 9), 0), ((9, 9, sure), 2)):
        stack = np.array(classes, dtype=np.uint8).reshape(3, 1, 1)
        pixels, observed = composite(numbers, stack, (4, 7), "best")
        assert observed.all()
        assert pixels.ravel().tolist() == numbers[winner].ravel().tolist()


def test_time_counted_back() -> None:
    now = datetime(2024, 3, 1, 12, tzinfo=UTC)
    assert resolve_time("last 12 months", now) == "2023-03-02/2024-03-01"
    assert resolve_time("last 30 days", now) == "2024-01-31/2024-03-01"
    assert resolve_time("2020-01-01/2020-02-01", now) == "2020-01-01/2020-02-01"


def test_tokens_serve_until_they_expire() -> None:
    issued: list[int] = []
    lifetime = [timedelta(hours=1)]

    async def token(request: Request) -> JSONResponse:
        issued.append(1)
        expiry = (datetime.now(UTC) + lifetime[0]).strftime("%Y-%m-%dT%H:%M:%SZ")
        return JSONResponse({"token": f"sig={len(issued)}", "msft:expiry": expiry})

    async def broken(request: Request) -> JSONResponse:
        return JSONResponse({"detail": "no"})

    with serve_app(Starlette(routes=[Route("/t", token), Route("/b", broken)])) as url:
        endpoint = f"{url}/t"
        assert signed("https://h/a.tif", endpoint) == "https://h/a.tif?sig=1"
        assert signed("https://h/b.tif", endpoint) == "https://h/b.tif?sig=1"
        assert signed("https://h/b.tif", endpoint, renew=True) == "https://h/b.tif?sig=2"
        assert signed("https://h/b.tif", None) == "https://h/b.tif"
        assert signed("/local/b.tif", endpoint) == "/local/b.tif"
        lifetime[0] = timedelta(seconds=30)
        assert signed("https://h/a.tif", endpoint, renew=True).endswith("sig=3")
        # It has less than a minute and a half to go.
        assert signed("https://h/a.tif", endpoint).endswith("sig=4")
        with pytest.raises(ImageryError, match="no token from"):
            signed("https://h/a.tif", f"{url}/b")
