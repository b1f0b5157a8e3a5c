"""The page in real Chromium: what a person sees, asks and takes away.

Software draws the map (SwiftShader). Skipped where there is no Chromium, unless
S2S_MAP_REQUIRE_CHROMIUM=1, as in CI.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fixtures_view import HOSTILE, LAND, WATER, WAVES, Client, viewing
from fixtures_waiting import HANG_S, wait_until
from PIL import Image

from s2s_map.pipeline.verbs.query import query
from s2s_map.server.colouring import ramp, steps
from s2s_map.server.viewed_run import ViewedRun

CHROMIUM = Path("/usr/bin/chromium")
REQUIRED = os.environ.get("S2S_MAP_REQUIRE_CHROMIUM") == "1"
AXE = Path("tools/page/node_modules/axe-core/axe.min.js")
GROUND = (230, 235, 232)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM.exists() or REQUIRED), reason="no Chromium"),
]

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=[
                "--no-sandbox",
                "--use-angle=swiftshader",
                "--enable-unsafe-swiftshader",
                # A microphone that beeps.
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def writable(finished: Path, tmp_path: Path) -> Iterator[Client]:
    with viewing(Path(shutil.copytree(finished, tmp_path / "copy"))) as client:
        yield client


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Give a function that opens the page and waits until it is drawn; no error may be said.

    Asked for after the server, so that pages are closed before it: they look for news of the run.
    """
    said: list[str] = []
    contexts = []

    def heard(kind: str, text: str) -> None:
        # What is refused with a reason is shown on the page; Chromium notes it as well.
        if kind == "error" and "status of 400" not in text:
            said.append(text)

    def open_it(client: Client, more: str = "", **how: Any) -> Any:
        given = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light", **how}
        context = browser.new_context(**given)
        context.set_default_timeout(HANG_S * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: heard(m.type, m.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{client.url}{more}")
        page.wait_for_selector("html[data-ready]")
        drawn(page)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert said == []


def drawn(page: Any) -> None:
    page.wait_for_selector("#stage[aria-busy=false]")


def colour_at(page: Any, place: tuple[float, float], of: str = "map") -> list[int]:
    """Return red, green and blue of what a map shows at a place."""
    script = """([of, lon, lat]) => {
      const map = window.s2sMap, canvas = document.querySelector(`#${of} canvas`);
      const at = map.project([lon, lat]), ratio = canvas.width / canvas.clientWidth;
      const gl = canvas.getContext('webgl2'), pixel = new Uint8Array(4);
      const x = Math.floor(at.x * ratio), y = canvas.height - 1 - Math.floor(at.y * ratio);
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
      gl.readPixels(x, y, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
      return [...pixel].slice(0, 3);
    }"""
    return list(page.evaluate(script, [of, *place]))


def only_layer(page: Any) -> None:
    page.uncheck("#imagery-on")
    page.uncheck("#outlines-on")
    drawn(page)


def expected_colour(value: float, colour_range: tuple[float, float]) -> np.ndarray:
    """Return a value's colour over the ground, at the usual opacity of the layer."""
    red, green, blue, opacity = ramp()[int(steps(np.array(value), colour_range)) - 1]
    share = opacity / 255 * 0.9
    return share * np.array([red, green, blue]) + (1 - share) * np.array(GROUND)


@pytest.mark.parametrize("place", [WATER, LAND])
def test_the_map_paints_the_right_colour(
    open_page: Open, client: Client, finished: Path, place: tuple[float, float]
) -> None:
    run = ViewedRun.open(finished)
    cell = run.cell_at(*place)
    assert cell is not None
    centre = run.centre_of(*cell)
    page = open_page(client)
    only_layer(page)
    value = float(run.values_at("waves", cell)[0])
    found = colour_at(page, centre)
    # Of three roundings to 8 bits.
    assert found == pytest.approx(expected_colour(value, run.layers["waves"].colour_range), abs=3)


def test_asking_paints_water_where_water_is(open_page: Open, client: Client) -> None:
    page = open_page(client)
    only_layer(page)
    page.fill("#question", "a ferry crossing the water")
    page.click("#add-part")
    page.fill("#parts input >> nth=0", "waves")
    page.click("#minus-part")
    page.fill("#parts input >> nth=1", "traffic")
    page.press("#question", "Enter")
    page.wait_for_selector("#asked li")
    drawn(page)
    assert page.inner_text("#legend-title") == "a ferry crossing the water + waves − traffic"
    asked = client.ask("a ferry crossing the water", "waves", minus=["traffic"])
    for place in (WATER, LAND):
        run = client.site.watched.last().runs[0]
        cell = run.cell_at(*place)
        assert cell is not None
        told = client.get("/api/place", lon=place[0], lat=place[1], question=asked["id"]).json()
        value = told["layers"][-1]["values"][0]
        expected = expected_colour(value, tuple(asked["range"]))
        assert colour_at(page, run.centre_of(*cell)) == pytest.approx(expected, abs=3)
    # Back to what is written, and to the question again.
    page.check("input[value='layer:waves']")
    assert page.inner_text("#legend-title") == WAVES
    page.check("#asked input")
    assert "ferry" in page.inner_text("#legend-title")
    page.click("#asked button:has-text('✕')")
    assert page.is_hidden("#asked-section")


def test_a_click_says_what_is_there(open_page: Open, client: Client) -> None:
    page = open_page(client)
    at = page.evaluate("(p) => window.s2sMap.project(p)", list(WATER))
    page.mouse.click(at["x"], at["y"])
    page.wait_for_selector(".heard li >> nth=9")
    lon, lat = (
        page.evaluate("() => location.hash")
        and page.inner_text(".coordinates span").split(", ")[::-1]
    )
    told = client.get("/api/place", lon=lon, lat=lat).json()
    assert page.inner_text("#place-title") == told["place"]
    numbers = page.locator("#place-body section >> nth=0").locator(".number").all_inner_texts()
    for text, layer in zip(numbers, told["layers"], strict=True):
        assert float(text) == pytest.approx(layer["values"][0], rel=0.06)
    heard = client.get("/api/place", lon=lon, lat=lat, part="heard").json()
    names = page.locator(".heard .name span:first-child").all_inner_texts()
    assert names == [one["text"] for one in heard["texts"]]
    page.click(".why button")
    page.wait_for_selector(".codes li >> nth=4")
    assert "2560 m" in page.inner_text(".patch")
    page.keyboard.press("Escape")
    assert page.is_hidden("#place")


def test_outside_the_map_it_says_so(open_page: Open, client: Client) -> None:
    page = open_page(client, "&place=-20/30")
    page.wait_for_selector("#place .doubt")
    assert "is outside the map" in page.inner_text("#place-body")


def test_keeping_writes_a_layer(writable: Client, open_page: Open) -> None:
    page = open_page(writable)
    page.fill("#question", "rowing boats")
    page.click("#ask-button")
    page.click("#asked button:has-text('Keep')")
    page.wait_for_selector("input[value='layer:rowing-boats']:checked")
    folder = writable.site.watched.last().runs[0].folder
    assert (folder / "rowing-boats.tif").is_file()
    assert page.is_hidden("#asked-section")
    drawn(page)


def test_keeping_one_answer_leaves_the_others(writable: Client, open_page: Open) -> None:
    page = open_page(writable)
    for text in ("crickets", "rowing boats"):
        page.fill("#question", text)
        page.click("#ask-button")
        page.wait_for_selector(f"#asked li:has-text('{text}') input:checked")
    page.click("#asked li:has-text('rowing boats') button:has-text('Keep')")
    page.wait_for_selector("input[value='layer:rowing-boats']:checked")
    page.wait_for_selector("#say:has-text('kept as')")
    page.wait_for_selector("#asked li:has-text('crickets')")
    assert page.is_checked("input[value='layer:rowing-boats']")
    drawn(page)


def test_two_layers_beside_each_other(open_page: Open, client: Client) -> None:
    page = open_page(client)
    only_layer(page)
    page.select_option("#compare", "layer:hostile")
    page.wait_for_selector("#other-map canvas")
    swipe = page.locator("#swipe")
    assert swipe.get_attribute("aria-valuenow") == "50"
    swipe.focus()
    page.keyboard.press("End")
    assert swipe.get_attribute("aria-valuenow") == "98"
    page.keyboard.press("PageDown")
    assert swipe.get_attribute("aria-valuenow") == "88"
    page.keyboard.press("Home")
    # Not below the panel.
    box, panel = swipe.bounding_box(), page.locator("#panel").bounding_box()
    assert box is not None
    assert panel is not None
    assert box["x"] + 22 > panel["x"] + panel["width"]
    page.mouse.move(box["x"] + 22, 400)
    page.mouse.down()
    page.mouse.move(900, 400, steps=5)
    page.mouse.up()
    assert swipe.get_attribute("aria-valuenow") == "70"
    run = client.site.watched.last().runs[0]
    cell = run.cell_at(*WATER)
    assert cell is not None
    value = float(run.values_at("hostile", cell)[0])
    expected = expected_colour(value, run.layers["hostile"].colour_range)
    close = pytest.approx(expected, abs=3)
    wait_until(lambda: colour_at(page, run.centre_of(*cell), "other-map") == close)
    page.select_option("#compare", "")
    assert page.is_hidden("#swipe")


def test_a_link_finds_everything_again(open_page: Open, client: Client) -> None:
    page = open_page(client)
    page.check("input[value='layer:hostile']")
    page.check("#above-on")
    page.locator("#opacity").fill("60")
    page.select_option("#compare", "layer:waves")
    page.evaluate("() => window.s2sMap.jumpTo({center: [-54.55, -25.37], zoom: 11.5})")
    wait_until(lambda: "other=waves" in page.evaluate("() => location.hash"))
    wait_until(lambda: "at=11.50" in page.evaluate("() => location.hash"))
    link = page.evaluate("() => location.hash")
    assert client.token not in link
    other = open_page(client, f"&{link[1:]}")
    wait_until(lambda: other.evaluate("() => location.hash") == link)
    assert other.is_checked("input[value='layer:hostile']")
    assert other.is_checked("#above-on")
    assert other.input_value("#opacity") == "60"
    assert other.is_visible("#swipe")
    asked = open_page(client, "&and=a+ferry&without=traffic")
    asked.wait_for_selector("#asked li")
    assert asked.inner_text("#legend-title") == "a ferry − traffic"


def test_a_hostile_name_is_text(open_page: Open, client: Client) -> None:
    page = open_page(client)
    page.check("input[value='layer:hostile']")
    assert page.inner_text("#legend-title") == HOSTILE
    page.fill("#question", "<b>owl</b><script>document.title='x'</script>")
    page.click("#ask-button")
    page.wait_for_selector("#asked li")
    at = page.evaluate("(p) => window.s2sMap.project(p)", list(WATER))
    page.mouse.click(at["x"], at["y"])
    page.wait_for_selector(".heard li")
    page.select_option("#compare", "layer:hostile")
    assert page.locator("img, b, iframe, body script").count() == 0
    assert page.title() == "Around the dam · s2s_map"


def test_a_threshold_says_what_it_leaves(open_page: Open, client: Client) -> None:
    page = open_page(client)
    only_layer(page)
    page.check("#above-on")
    page.wait_for_selector("#area:has-text('km²')")
    above = float(page.evaluate("() => location.hash.match(/above=([^&]*)/)?.[1] ?? '0'") or 0)
    wait_until(lambda: "above=" in page.evaluate("() => location.hash"))
    above = float(page.evaluate("() => location.hash.match(/above=([^&]*)/)[1]"))
    told = client.get("/api/area", layer="waves", above=above).json()
    assert page.inner_text("#area").startswith(f"{round(told['km2'])} km²")
    drawn(page)
    wait_until(lambda: colour_at(page, LAND) == list(GROUND))


def test_what_is_taken_away(open_page: Open, client: Client, tmp_path: Path) -> None:
    page = open_page(client)
    with page.expect_download() as download:
        page.click("#take-picture")
    picture = tmp_path / "view.png"
    download.value.save_as(picture)
    # The map, and below it the legend and whose it is.
    with Image.open(picture) as shown:
        assert shown.size == (1280, 864)
        assert len(set(shown.convert("RGB").crop((12, 810, 212, 822)).get_flattened_data())) > 50
    for button, wide in (("#take-seen", True), ("#take-layer", True)):
        with page.expect_download() as download:
            page.click(button)
        assert download.value.suggested_filename == "waves.tif"
        download.value.save_as(tmp_path / "taken.tif")
        with rasterio.open(tmp_path / "taken.tif") as taken:
            assert (taken.width > 50) == wide


def test_a_recording_is_dropped_in_and_one_is_taken(open_page: Open, client: Client) -> None:
    page = open_page(client)
    page.set_input_files("#recording-file", "s2s_map/sample_data/sounds/owl.mp3")
    page.wait_for_selector("#asked li")
    assert page.inner_text("#legend-title") == "recording owl"
    page.click("#recording button")
    page.click("#microphone")
    page.wait_for_selector("#microphone[aria-pressed=true]")
    page.evaluate("() => new Promise((done) => setTimeout(done, 700))")
    page.click("#microphone")
    page.wait_for_selector("#asked li >> nth=1")
    assert page.inner_text("#legend-title") == "recording microphone"


def test_places_are_found(open_page: Open, client: Client) -> None:
    page = open_page(client)
    page.fill("#find-text", f"{WATER[0]} {WATER[1]}")
    page.press("#find-text", "Enter")
    page.wait_for_selector("#say:has-text('off this map')")
    page.wait_for_selector(".heard li")
    page.fill("#find-text", "Kenya")
    page.press("#find-text", "Enter")
    page.wait_for_selector("#say:has-text('does not reach there')")


def test_a_run_that_is_written_anew_is_loaded_again(writable: Client, open_page: Open) -> None:
    page = open_page(writable)
    query(writable.site.folder, "crickets", name="third")
    page.wait_for_selector("input[value='layer:third']")
    page.wait_for_selector("#say:has-text('written anew')")
    assert page.is_checked("input[value='layer:waves']")
    drawn(page)


def test_what_was_asked_is_asked_again_of_a_run_that_is_written_anew(
    writable: Client, open_page: Open
) -> None:
    page = open_page(writable)
    for text in ("crickets", "rowing boats"):
        page.fill("#question", text)
        page.click("#ask-button")
        page.wait_for_selector(f"#asked li:has-text('{text}') input:checked")
    before = page.input_value("#asked li:has-text('crickets') input")
    page.check("#asked li:has-text('crickets') input")
    query(writable.site.folder, "trains", name="third")
    page.wait_for_selector("input[value='layer:third']")
    page.wait_for_selector("#asked li:has-text('rowing boats')")
    page.wait_for_selector("#asked li:has-text('crickets') input:checked")
    assert page.input_value("#asked li:has-text('crickets') input") != before
    drawn(page)


def test_across_the_180th_meridian_both_sides_are_asked_for(
    open_page: Open, client: Client
) -> None:
    page = open_page(client)
    page.evaluate("""async () => {
      const { change, state } = await import("/page/store.js");
      const [, south, , north] = state.view.bounds;
      change({ view: { ...state.view, bounds: [178, south, 182, north] } });
    }""")
    bounds = page.evaluate("""() => {
      const { sources } = window.s2sMap.getStyle();
      const drawn = Object.keys(sources).filter((id) => id.startsWith("shown-"));
      return sources[drawn.at(-1)].bounds;
    }""")
    assert (bounds[0], bounds[2]) == (-180, 180)
    drawn(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 390])
def test_nothing_keeps_anybody_out(open_page: Open, client: Client, width: int, theme: str) -> None:
    if not AXE.exists():
        if REQUIRED:
            pytest.fail(f"no {AXE}: make lint-page fetches it")
        pytest.skip("no axe-core: make lint-page fetches it")
    page = open_page(
        client, "&other=hostile&and=an+owl", viewport={"width": width, "height": 800},
        color_scheme=theme,
    )  # fmt: skip
    page.wait_for_selector("#asked li", state="attached")
    page.evaluate(AXE.read_text("utf-8"))
    for opened in ("panel", "place"):
        if opened == "panel" and width == 390:
            page.click("#fold")
        if opened == "place":
            page.evaluate("() => window.s2sMap.getCanvas().focus()")
            page.keyboard.press("Enter")
            page.wait_for_selector(".heard li, #place .doubt")
        found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        serious = [
            (one["id"], [node["html"][:120] for node in one["nodes"]])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical", "moderate")
        ]
        assert serious == [], json.dumps(serious, indent=1)
        # Nothing is cut off at any width.
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        seen = page.locator("#attribution").bounding_box()
        assert seen is not None
        assert (
            page.evaluate(
                "([x, y]) => document.elementFromPoint(x, y).id", [seen["x"] + 20, seen["y"] + 6]
            )
            == "attribution"
        )


def test_everything_can_be_reached_by_keyboard(open_page: Open, client: Client) -> None:
    page = open_page(client)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.id"))
    wanted = {"question", "ask-button", "add-part", "choose-recording", "microphone", "opacity"}
    assert wanted | {"compare", "take-picture", "take-link", "find-text", "theme"} <= reached
