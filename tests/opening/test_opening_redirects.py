"""Where servers may lead: the rule as a table, and the whole chain with real clients."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fixtures_proxies import without_proxies
from fixtures_redirects import Redirecting, serve_redirects

from s2s_map.catalog.catalog import scenes
from s2s_map.config.catalog import RasterEntry, StacEntry, ZarrEntry
from s2s_map.errors import ImageryError, ModelError
from s2s_map.imagery.sources.stac.search.walking import search
from s2s_map.imagery.sources.zarr.source import ZarrSource
from s2s_map.opening import egress as way_out
from s2s_map.opening.egress import Egress, Network
from s2s_map.opening.redirects import Host, Route, is_public, is_refused, literal
from s2s_map.opening.signing import signed
from s2s_map.opening.zarr_group import open_group

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0", "0.0.0.0"),  # noqa: S104
        ("169.254.43518", "169.254.169.254"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
    ],
)
def test_addresses_in_every_form(name: str, address: str) -> None:
    assert literal(name) == ipaddress.ip_address(address)


@pytest.mark.parametrize("name", ["a.test", "1.2.3.4.5", "256.1.1.1", "08.1.1.1", "10.a", "", "."])
def test_names_are_no_addresses(name: str) -> None:
    assert literal(name) is None


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),  # noqa: S104
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fd00::1", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("::127.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
    ],
)
def test_what_is_of_the_internet(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    ("origin", "target", "refused"),
    [
        (["8.8.8.8"], ["1.1.1.1"], False),
        (["8.8.8.8"], ["10.0.0.1"], True),
        (["8.8.8.8"], ["1.1.1.1", "127.0.0.1"], True),
        (["10.0.0.1"], ["127.0.0.1"], False),
        (["10.0.0.1"], ["8.8.8.8"], False),
        ([], ["fd00::1"], True),
        (["8.8.8.8"], [], False),
    ],
)
def test_no_step_from_the_internet_inwards(
    origin: list[str], target: list[str], refused: bool
) -> None:
    assert is_refused(map(ipaddress.ip_address, origin), map(ipaddress.ip_address, target)) is (
        refused
    )


@pytest.mark.parametrize(
    ("target", "others", "allowed"),
    [
        ("http://a.test/", (), True),
        ("http://A.test:80/x", (), True),
        ("https://a.test/", (), True),
        ("https://a.test:8443/", (), False),
        ("http://b.a.test/", (), False),
        ("http://a.test.evil.test/", (), False),
        ("http://127.0.0.1/", (), False),
        ("https://cdn.test/", ("cdn.test",), True),
        ("https://cdn.test:8443/", ("cdn.test",), False),
        ("https://cdn.test:8443/", ("cdn.test:8443",), True),
        ("https://x.cdn.test/", ("cdn.test",), False),
        ("https://x.cdn.test/", (".cdn.test",), True),
        ("https://xcdn.test/", (".cdn.test",), False),
        ("http://[::1]:81/", ("[::1]:81",), True),
    ],
)
def test_which_hosts_a_route_names(target: str, others: tuple[str, ...], allowed: bool) -> None:
    route = Route(Host.of("http://a.test/x.tif"), others)
    assert route.names(Host.of(target)) is allowed


def test_a_host_of_https_does_not_fall_back() -> None:
    assert not Route(Host.of("https://a.test/")).names(Host.of("http://a.test/"))


@pytest.fixture
def servers(make_raster: MakeRaster) -> Iterator[Callable[[str], Redirecting]]:
    """Start servers of a scene on loopback addresses."""
    content = make_raster("a.tif").read_bytes()
    with serve_redirects(content) as start:
        yield start


def raster_at(uri: str, **more: Any) -> RasterEntry:
    about = {"title": "t", "sensor": "landsat", "licence": "l", "attribution": "a"}
    return RasterEntry.model_validate({"type": "raster", "uri": uri, **about, **more})


@pytest.mark.parametrize("elsewhere", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_a_raster_is_not_fetched_from_elsewhere(
    servers: Callable[[str], Redirecting], elsewhere: str
) -> None:
    here, there = servers("127.0.0.1"), servers(elsewhere)
    uri = here.to(f"{there.url}/a.tif")
    with pytest.raises(ImageryError, match=r"leads to .*another host; list that host in redirects"):
        scenes(raster_at(uri))
    assert not there.requests
    # An entry that says so; GDAL keeps what was refused.
    uri = here.to(f"{there.url}/b.tif")
    assert scenes(raster_at(uri, redirects_to=[str(Host.of(there.url))]))
    assert there.requests


def test_redirects_within_the_host_are_followed(servers: Callable[[str], Redirecting]) -> None:
    here = servers("127.0.0.1")
    assert scenes(raster_at(here.to("/b/a.tif")))
    assert scenes(raster_at(here.to(f"{here.url}/a.tif")))
    with pytest.raises(ImageryError):
        scenes(raster_at(f"{here.url}/loop/a.tif"))


def test_credentials_stay_with_their_host(
    servers: Callable[[str], Redirecting], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = servers("127.0.0.1"), servers("127.0.0.2")
    monkeypatch.setenv(
        "GDAL_HTTP_HEADERS", "Authorization: Bearer s3cret-one,X-Api-Key: s3cret-two"
    )
    uri = here.to(f"{there.url}/a.tif").replace("//", "//me:s3cret-three@") + "?key=s3cret-four"
    assert scenes(raster_at(uri, redirects_to=[str(Host.of(there.url))]))
    assert "s3cret" in str(here.requests)
    assert there.requests
    assert "s3cret" not in str(there.requests)


def test_no_proxy_does_not_open_a_way_out(
    servers: Callable[[str], Redirecting], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = servers("127.0.0.1"), servers("127.0.0.2")
    without_proxies(monkeypatch)
    monkeypatch.setenv("no_proxy", "127.0.0.1,127.0.0.2,localhost")
    with pytest.raises(ImageryError, match="another host"):
        scenes(raster_at(here.to(f"{there.url}/a.tif")))
    assert not there.requests


def test_the_proxy_is_never_its_own_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    from s2s_map.opening.proxies import environment_proxy

    without_proxies(monkeypatch)
    monkeypatch.setenv("http_proxy", "http://user.test:3128")
    host = Host.of("http://maps.test/a.tif")
    for names in ("a.test", "b.test"):
        # The second time, http_proxy stands for this process.
        monkeypatch.setenv("no_proxy", names)
        way_out.egress().proxy(Route(host))
        assert "127.0.0.1" in os.environ["http_proxy"]
        upstream = environment_proxy(host)
        assert upstream is not None
        assert upstream.hostname == "user.test"
        assert environment_proxy(Host.of(f"http://{names}/a.tif")) is None
    # Whoever forgets what stood there before asks directly.
    monkeypatch.setattr("s2s_map.opening.proxies._said", {})
    assert environment_proxy(host) is None


def zarr_at(uri: str, **more: Any) -> ZarrEntry:
    about = {"title": "t", "sensor": "landsat", "licence": "l", "attribution": "a"}
    return ZarrEntry.model_validate({"type": "zarr", "uri": uri, **about, **more})


def test_a_cube_is_not_fetched_from_elsewhere(servers: Callable[[str], Redirecting]) -> None:
    here, there = servers("127.0.0.1"), servers("127.0.0.2")
    uri = here.to(f"{there.url}/cube.zarr")
    with pytest.raises(ImageryError, match=r"leads to .*another host"):
        ZarrSource.open(zarr_at(uri))
    assert not there.requests
    with pytest.raises(ImageryError):
        # It holds no store, but is asked.
        ZarrSource.open(zarr_at(uri, redirects_to=[str(Host.of(there.url))]))
    assert there.requests
    with pytest.raises(ImageryError):
        open_group(here.to("/b/cube.zarr"))
    assert any(path.startswith("/b/") for path, _ in here.requests)


def test_an_api_is_not_asked_elsewhere(servers: Callable[[str], Redirecting]) -> None:
    here, there = servers("127.0.0.1"), servers("127.0.0.2")
    fields = {
        "type": "stac",
        "title": "t",
        "url": here.to(f"{there.url}/api"),
        "collection": "c",
        "time": "2024-01-01/2024-02-01",
        "sensor": "sentinel",
        "licence": "l",
        "attribution": "a",
    }
    with pytest.raises(ImageryError, match=r"leads to .*another host"):
        search(StacEntry.model_validate(fields), (8.0, 47.0, 8.1, 47.1))
    with pytest.raises(ImageryError, match=r"leads to .*another host"):
        signed("https://a.test/x.tif", here.to(f"{there.url}/token"))
    assert not there.requests


def test_a_mirror_does_not_lead_elsewhere(
    servers: Callable[[str], Redirecting], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s2s_map.models.checkpoints.hub import Source, get_file

    monkeypatch.setenv("HF_TOKEN", "hf_s3cretofmine")
    here, there = servers("127.0.0.1"), servers("127.0.0.2")
    source = Source(endpoint=here.url, cache=tmp_path)
    here.hub = f"{there.url}/file.bin"
    with pytest.raises(ModelError, match=r"leads to .*another host; name that host with --redir"):
        get_file(source, "o/n", "file.bin", "main", "n")
    assert not there.requests
    trusting = Source(endpoint=here.url, cache=tmp_path, redirects_to=(str(Host.of(there.url)),))
    assert get_file(trusting, "o/n", "file.bin", "main", "n").path.stat().st_size > 0
    assert "hf_s3cretofmine" in str(here.requests)
    assert there.requests
    assert "hf_s3cretofmine" not in str(there.requests)


@contextmanager
def named(
    patch: pytest.MonkeyPatch, addresses: dict[str, list[str]], ports: dict[str, int]
) -> Iterator[None]:
    """Have names stand for addresses, and addresses for ports of this machine."""

    async def resolve(name: str) -> list[Any]:
        own = literal(name)
        return [own] if own else [ipaddress.ip_address(a) for a in addresses.get(name, [])]

    async def connect(address: Any, port: int) -> Any:
        return await asyncio.open_connection("127.0.0.1", ports[str(address)])

    one = Egress(Network(resolve, connect))
    patch.setattr(way_out, "_egress", lambda _process: one)
    yield


@pytest.mark.parametrize(
    "inner",
    ["inner.test", "10.0.0.7", "169.254.169.254", "[fd00::7]", "[::ffff:10.0.0.7]", "167772167"],
)
def test_a_public_host_does_not_lead_into_our_network(
    servers: Callable[[str], Redirecting], monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    here, there = servers("127.0.0.1"), servers("127.0.0.1")
    addresses = {"maps.test": ["8.8.8.8"], "inner.test": ["10.0.0.7"], "cdn.test": ["1.1.1.1"]}
    ports = {"8.8.8.8": here.port, "1.1.1.1": there.port, "10.0.0.7": there.port}
    with named(monkeypatch, addresses, ports):
        # Although the entry trusts it.
        uri = here.to(f"http://{inner}/a.tif", "http://maps.test")
        with pytest.raises(ImageryError, match="on this machine or a local network"):
            scenes(raster_at(uri, redirects_to=[inner]))
        assert not there.requests
        cdn = here.to(f"http://cdn.test/{inner}/a.tif", "http://maps.test")
        assert scenes(raster_at(cdn, redirects_to=["cdn.test"]))
        assert there.requests


def test_a_public_name_that_becomes_one_of_ours(
    servers: Callable[[str], Redirecting], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = servers("127.0.0.1")
    addresses = {"maps.test": ["8.8.8.8"], "ours.test": ["10.0.0.7"]}
    ports = {"8.8.8.8": here.port, "10.0.0.7": here.port}
    with named(monkeypatch, addresses, ports):
        assert scenes(raster_at("http://maps.test/a.tif"))
        # Named by the user: that is not a redirect.
        assert scenes(raster_at("http://ours.test/a.tif"))
        addresses["maps.test"] = ["10.0.0.7"]
        with pytest.raises(ImageryError, match="on this machine or a local network"):
            scenes(raster_at("http://maps.test/b/a.tif"))


def test_what_a_public_api_names_is_no_file_of_our_network(
    servers: Callable[[str], Redirecting], monkeypatch: pytest.MonkeyPatch
) -> None:
    from s2s_map.opening.open_files import open_dataset, remote_settings

    here = servers("127.0.0.1")
    ports = {"8.8.8.8": here.port, "10.0.0.7": here.port}
    with named(monkeypatch, {"api.test": ["8.8.8.8"], "ours.test": ["10.0.0.7"]}, ports):
        settings = remote_settings("http://ours.test/c.tif", "https://api.test/stac")
        with (
            pytest.raises(ImageryError, match="on this machine or a local network"),
            settings.environment(),
        ):
            open_dataset(settings)
        assert not here.requests
