"""Marked secrets in every kind of entry, a server that repeats them, every verb: no trace."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from fixtures_cli import call
from fixtures_echo import CUT, WAYS, Echo, serve_echo
from fixtures_job import write_job
from fixtures_models import TINY
from fixtures_processes import forked
from fixtures_proxies import without_proxies

from s2s_map.config.run import load_run_config
from s2s_map.models.registry import load_model
from s2s_map.pipeline.maps.questions import encode_questions
from s2s_map.redaction.forms import forms

MARK = "Zq7Kd92Lx4/mark+er=9&more"
"""A secret, with what is encoded or escaped in addresses, XML, HTML and JSON."""

PLAIN = "Zq7Kd92Lx4markthatneedsnocoding"
"""One for places where nothing can be escaped."""


@dataclass(frozen=True)
class Kind:
    """A kind of entry.

    Attributes:
        entry: Its fields beside those that all have; {base} is the server with a way to answer,
            {host} the server's host and port.
        env: Variables of the environment.
        files: Files of the home folder.
        config: Changes to the run config.
    """

    entry: dict[str, Any]
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


def raster(uri: str, **more: Any) -> dict[str, Any]:
    return {"type": "raster", "uri": uri, **more}


def zarr(uri: str, **more: Any) -> dict[str, Any]:
    return {"type": "zarr", "uri": uri, **more}


def stac(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "stac", "url": url, "collection": "c", "time": "2024-01-01/2024-02-01", **more}


def xyz(url: str, **more: Any) -> dict[str, Any]:
    manners = {"attempts": 1, "breaker_failures": 1, "breaker_rests": 0}
    return {"type": "xyz", "url": url, "manners": manners, "on_missing": "fail", **more}


CODED = quote(MARK, safe="")
S3 = {
    "AWS_ACCESS_KEY_ID": f"AKIA{PLAIN}",
    "AWS_SECRET_ACCESS_KEY": MARK,
    "AWS_SESSION_TOKEN": MARK,
    "AWS_REGION": "us-east-1",
    "AWS_S3_ENDPOINT": "{host}",
    "AWS_ENDPOINT_URL": "http://{host}",
    "AWS_HTTPS": "NO",
    "AWS_VIRTUAL_HOSTING": "FALSE",
}
SAS = f"sv=2021-06-08&ss=b&sp=r&se=2999-01-01T00:00:00Z&sig={CODED}"
BLOB = {
    "AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=http;AccountName=acc;"
    f"AccountKey={base64.b64encode(MARK.encode()).decode()};BlobEndpoint=http://{{host}}/acc;"
}
PROXY = {"http_proxy": f"http://someone:{CODED}@{{host}}", "no_proxy": "a.test"}
NETRC = {".netrc": f"machine 127.0.0.1 login someone password {PLAIN}\n"}
KEY = {"MY_KEY": MARK}
PATH_KEY = {"MY_KEY": PLAIN}
ENV = ["MY_KEY"]
TILE = "{{z}}/{{x}}/{{y}}.png"

KINDS = {
    "raster, login": Kind(raster("http://someone:" + PLAIN + "@{host}/{way}/a.tif")),
    "raster, key of the environment": Kind(raster("{base}/a.tif?key=${{MY_KEY}}", env=ENV), KEY),
    "raster, any name": Kind(raster("{base}/a.tif?x=${{MY_KEY}}&v=2", env=ENV), KEY),
    "raster, key in the catalog": Kind(raster("{base}/a.tif?appid=" + CODED)),
    "raster, signature": Kind(raster("{base}/a.tif?sig=" + CODED + "&se=1")),
    "raster, SAS": Kind(raster("{base}/a.tif?" + SAS)),
    "raster, amazon signature": Kind(
        raster("{base}/a.tif?X-Amz-Credential=" + PLAIN + "&X-Amz-Signature=" + CODED)
    ),
    "raster, key in the path": Kind(raster("{base}/${{MY_KEY}}/a.tif", env=ENV), PATH_KEY),
    "raster, bearer": Kind(
        raster("{base}/a.tif"), {"GDAL_HTTP_HEADERS": f"Authorization: Bearer {MARK}"}
    ),
    "raster, header": Kind(raster("{base}/a.tif"), {"GDAL_HTTP_HEADERS": f"X-Api-Key: {PLAIN}"}),
    "raster, basic": Kind(
        raster("{base}/a.tif"),
        {"GDAL_HTTP_USERPWD": f"someone:{MARK}", "GDAL_HTTP_AUTH": "BASIC"},
    ),
    "raster, netrc": Kind(raster("{base}/a.tif"), files=NETRC),
    "raster, proxy": Kind(raster("http://maps.test/{way}/a.tif"), PROXY),
    "raster, proxy of https": Kind(
        raster("https://maps.test/{way}/a.tif"), {"https_proxy": PROXY["http_proxy"]}
    ),
    "raster, s3": Kind(raster("s3://{way}/a.tif"), S3),
    "raster, s3 by a file": Kind(
        raster("s3://{way}/a.tif"),
        {k: v for k, v in S3.items() if "ACCESS" not in k and "TOKEN" not in k},
        {
            ".aws/credentials": "[default]\n"
            f"aws_access_key_id = AKIA{PLAIN}\naws_secret_access_key = {MARK}\n"
            f"aws_session_token = {MARK}\n"
        },
    ),
    "raster, gs": Kind(
        raster("gs://{way}/a.tif"),
        {
            "GS_ACCESS_KEY_ID": f"GOOG{PLAIN}",
            "GS_SECRET_ACCESS_KEY": MARK,
            "CPL_GS_ENDPOINT": "http://{host}/",
        },
    ),
    "raster, az": Kind(raster("az://{way}/a.tif"), BLOB),
    "raster, az SAS": Kind(
        raster("az://{way}/a.tif"),
        {
            "AZURE_STORAGE_ACCOUNT": "acc",
            "AZURE_STORAGE_SAS_TOKEN": SAS,
            "AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=http://{host}/acc;"
            f"SharedAccessSignature={SAS};",
        },
    ),
    "zarr, login": Kind(zarr("http://someone:" + PLAIN + "@{host}/{way}/a.zarr")),
    "zarr, query": Kind(zarr("{base}/a.zarr?token=" + CODED)),
    "zarr, key in the path": Kind(zarr("{base}/${{MY_KEY}}/a.zarr", env=ENV), PATH_KEY),
    "zarr, s3": Kind(zarr("s3://{way}/a.zarr"), S3),
    "zarr, proxy": Kind(zarr("http://maps.test/{way}/a.zarr"), PROXY),
    "stac, key": Kind(stac("{base}/api?token=" + CODED)),
    "stac, any name": Kind(stac("{base}/api?appid=" + PLAIN)),
    "stac, login": Kind(stac("http://someone:" + PLAIN + "@{host}/{way}/api")),
    "stac, netrc": Kind(stac("{base}/api"), files=NETRC),
    "stac, token": Kind(stac("{base}/api", token_url="{base}/token?key=" + CODED)),
    "xyz, key": Kind(xyz("{base}/" + TILE + "?key=${{MY_KEY}}", env=ENV), KEY),
    "xyz, key in the catalog": Kind(xyz("{base}/" + TILE + "?appid=" + CODED)),
    "xyz, key in the path": Kind(xyz("{base}/${{MY_KEY}}/" + TILE, env=ENV), PATH_KEY),
    "xyz, header": Kind(xyz("{base}/" + TILE, env=ENV, headers={"X-Api-Key": "${{MY_KEY}}"}), KEY),
    "xyz, basic": Kind(
        xyz("{base}/" + TILE, env=ENV, headers={"Authorization": "Basic ${{MY_KEY}}"}), KEY
    ),
    "xyz, header in the catalog": Kind(
        xyz("{base}/" + TILE, headers={"Authorization": "Bearer " + PLAIN})
    ),
    "xyz, login": Kind(xyz("http://someone:" + PLAIN + "@{host}/{way}/" + TILE)),
    "output on s3": Kind(raster("{here}/scene.tif"), S3, config={"output": "s3://{way}/out"}),
}

FLAGS = ((), ("--debug",), ("--log-json",), ("--debug", "--log-json"))


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with serve_echo() as server:
        yield server


def filled(value: Any, **places: str) -> Any:
    if isinstance(value, str):
        return value.format(**places)
    if isinstance(value, dict):
        return {key: filled(part, **places) for key, part in value.items()}
    return value


ALL_FORMS = sorted(
    {form for secret in (MARK, PLAIN) for form in forms(secret)}
    | {secret[:CUT] for secret in (MARK, PLAIN)}
    | {base64.b64encode(f"someone:{secret}".encode()).decode() for secret in (MARK, PLAIN)},
    key=len,
)


def assert_no_trace(content: str | bytes, where: object) -> None:
    text = content if isinstance(content, str) else content.decode("latin-1")
    for form in ALL_FORMS:
        at = text.find(form)
        assert at < 0, f"{where} holds {form!r}: ...{text[max(0, at - 200) : at + 60]!r}"


def files_below(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.is_file())


@dataclass
class Place:
    """Where a test works.

    Attributes:
        work: The working folder, in which nothing may hold a secret.
        inputs: What the user wrote, secrets and all.
        cache: What is kept between runs.
    """

    work: Path
    inputs: Path
    cache: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job with its scene and model, copied by reference; what it asks is embedded, once."""
    folder = tmp_path_factory.mktemp("made")
    config = load_run_config(write_job(folder, network=TINY))
    model = load_model(folder / "model")
    encode_questions(
        model, model.card, config.queries, config.probability, folder / "cache" / "vectors"
    )
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    found = Place(tmp_path / "work", tmp_path / "inputs", tmp_path / "cache")
    for folder in (found.work, found.inputs, found.cache):
        folder.mkdir()
    monkeypatch.chdir(found.work)
    monkeypatch.setenv("HOME", str(found.inputs))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(found.inputs / "config"))
    monkeypatch.setenv("S2S_MAP_CACHE", str(found.cache))
    monkeypatch.setenv("COLUMNS", "100")
    without_proxies(monkeypatch)
    # Of other tests; what this one needs it finds by itself.
    monkeypatch.setattr("s2s_map.redaction.known._values", {})
    return found


def prepare(
    kind: Kind, way: str, echo: Echo, place: Place, made: Path, patch: pytest.MonkeyPatch
) -> Path:
    """Write the entry and its run config; returns the config's path."""
    host = f"127.0.0.1:{echo.port}"
    places = {"host": host, "base": f"http://{host}/{way}", "way": way, "here": str(made)}
    for name, value in kind.env.items():
        patch.setenv(name, value.format(**places))
    for name, text in kind.files.items():
        (place.inputs / name).parent.mkdir(exist_ok=True)
        (place.inputs / name).write_text(text)
        (place.inputs / name).chmod(0o600)
    entry = {
        "title": "Marked",
        "sensor": {"gsd_m": 30.0, "patch_m": 1280.0},
        "licence": "CC0-1.0",
        "attribution": "nobody",
        **filled(kind.entry, **places),
    }
    (place.inputs / "data_catalog.yaml").write_text(yaml.safe_dump({"marked": entry}))
    config = yaml.safe_load((made / "job.yaml").read_text())
    config |= {
        "source": "marked",
        "model": str(made / "model"),
        "output": "out",
        "region": [-56.0, -25.33, -55.99, -25.32],
        **filled(kind.config, **places),
    }
    path = place.work / "job.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize("number", range(len(KINDS)), ids=list(KINDS))
def test_no_trace_of_a_secret(
    number: int,
    echo: Echo,
    place: Place,
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    kind, before = list(KINDS.values())[number], len(echo.requests)
    if list(KINDS)[number] != "xyz, key":  # One embeds its question and the vocabulary itself.
        shutil.copytree(made / "cache", place.cache, dirs_exist_ok=True)
    catalog = ("--catalog", str(place.inputs / "data_catalog.yaml"))
    ways = [list(WAYS)[(number + step * 5) % len(WAYS)] for step in range(2)]
    for step, way in enumerate(ways):
        config = prepare(kind, way, echo, place, made, monkeypatch)
        debug = ("--debug",) if step % 2 else ()
        calls = [
            ("catalog", "check", "marked", *catalog, "--at=-55.995,-25.325", *debug),
            ("catalog", "show", "marked", *catalog, *debug),
            *(
                (("validate", config, *catalog, *debug), ("plan", config, *catalog, *debug))
                if step == 0
                else (("run", config, *catalog, *FLAGS[(number + step) % 4]),)
            ),
        ]
        for arguments in calls:
            code = call(*arguments)
            out, err = capfd.readouterr()
            assert_no_trace(out, arguments)
            assert_no_trace(err, arguments)
            assert code in (0, 2, 3, 75), f"{arguments} ended with {code}: {err[-2000:]}"
            assert out.strip() or err.strip(), f"{arguments} says nothing"
        for path in files_below(place.work, place.cache):
            assert_no_trace(path.read_bytes(), path)
    asked = any(
        MARK in str(r) or PLAIN in str(r) or CODED in str(r) or "Authorization" in str(r)
        for r in echo.requests[before:]
    )
    # What no request carries proves nothing. The three others: refused, left out by the client, and
    # not come to, see below.
    assert asked or list(KINDS)[number] in ("zarr, query", "zarr, login", "stac, token")


LON_LAT = ("-55.995", "-25.325")


def test_every_verb_on_what_was_made(
    echo: Echo,
    place: Place,
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Imagery that is read at first and then refused: holes, failures, reports, caches."""
    kind = Kind(
        raster("{base}/scene.tif?key=${{MY_KEY}}", env=ENV, on_missing="nodata"),
        {**KEY, "GDAL_HTTP_HEADERS": f"Authorization: Bearer {PLAIN}"},
    )
    config = prepare(kind, "text", echo, place, made, monkeypatch)
    shutil.copytree(made / "cache", place.cache, dirs_exist_ok=True)
    # Where every verb finds it.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place.inputs))
    (place.inputs / "s2s-map").mkdir()
    (place.inputs / "data_catalog.yaml").rename(place.inputs / "s2s-map" / "data_catalog.yaml")
    scene = (made / "scene.tif").read_bytes()
    echo.content, echo.is_well = {"scene.tif": scene[: len(scene) // 2] + b"\0" * 999}, True
    batch = {
        "output": "maps",
        "regions": {"here": [-56.0, -25.33, -55.99, -25.32]},
        "sources": ["marked"],
        "models": [str(made / "model")],
        "queries": [{"text": "traffic"}],
        "defaults": {"grid": {"cell_m": 160, "block_cells": 16}, "patches": {"stride_m": 320}},
    }
    (place.work / "batch.yaml").write_text(yaml.safe_dump(batch))
    rounds = [
        ("run", config),
        ("status", "out"),
        ("status", "out", "--json"),
        ("verify", "out"),
        ("query", "out", "rain"),
        ("explain", "out", *LON_LAT, "--query", "rain"),
        ("run", config, "--retry-holes"),
        ("validate", config),
        ("plan", config, "--json"),
        ("batch", "plan", "batch.yaml"),
        ("batch", "run", "batch.yaml"),
        ("doctor",),
        ("models", "list"),
    ]
    takes_json = ("run", "query", "batch run")
    for is_well in (True, False):
        echo.is_well = is_well
        for number, arguments in enumerate(rounds):
            verb = " ".join(map(str, arguments[: 2 if arguments[0] == "batch" else 1]))
            more = ["--debug"] if number % 2 == is_well else []
            more += ["--log-json"] if not is_well and verb in takes_json else []
            with forked():  # a batch starts processes
                code = call(*arguments, *more)
            out, err = capfd.readouterr()
            assert_no_trace(out + err, arguments)
            assert code in (0, 2, 3), f"{arguments} ended with {code}: {err[-2000:]}"
    echo.content = {}
    for path in files_below(place.work, place.cache):
        assert_no_trace(path.read_bytes(), path)
    assert any(PLAIN in str(headers) for _, headers in echo.requests)


def test_fetching_models_and_catalogs(
    echo: Echo, place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", PLAIN)
    monkeypatch.setenv("S2S_MAP_MODELS", str(place.work / "models"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(place.cache / "hub"))
    for number, way in enumerate(WAYS):
        host = f"someone:{CODED}@127.0.0.1:{echo.port}/{way}"
        monkeypatch.setenv("HF_ENDPOINT", f"http://{host}")
        for arguments in (
            ("models", "fetch", "sat2sound-geosound"),
            ("catalog", "list", "--catalog", f"http://{host}/c.yaml?token={CODED}"),
        ):
            code = call(*arguments, *(["--debug"] if number % 2 else []))
            out, err = capfd.readouterr()
            assert_no_trace(out + err, (way, arguments))
            assert (code, bool(err.strip())) == (2, True), err[-2000:]
    for path in files_below(place.work, place.cache):
        assert_no_trace(path.read_bytes(), path)


def test_processes_and_their_workers(
    echo: Echo,
    place: Place,
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run of its own with Dask workers, GDAL and libcurl telling all they know.

    Two processes, one of which, Dask's, imports what a run needs: some five seconds.
    """
    kind = Kind(
        raster("s3://xml/scene.tif", on_missing="nodata"),
        S3,
        config={"cluster": {"use": "local", "workers": 1}},
    )
    config = prepare(kind, "xml", echo, place, made, monkeypatch)
    shutil.copytree(made / "cache", place.cache, dirs_exist_ok=True)
    scene = (made / "scene.tif").read_bytes()
    echo.content, echo.is_well = {"scene.tif": scene[: len(scene) // 2] + b"\0" * 999}, True
    told = {"CPL_DEBUG": "ON", "CPL_CURL_VERBOSE": "YES"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    catalog = place.inputs / "data_catalog.yaml"
    program = [sys.executable, "-c", "from s2s_map.cli.main import main; main()"]
    with forked():
        done = subprocess.run(
            [*program, "run", config, "--catalog", catalog, "--debug", "--log-json"],
            capture_output=True,
            check=False,
        )
    echo.content = {}
    assert_no_trace(done.stdout, "stdout")
    assert_no_trace(done.stderr, "stderr")
    assert done.returncode in (2, 3), done.stderr[-3000:]
    for path in files_below(place.work, place.cache):
        assert_no_trace(path.read_bytes(), path)
    record = place.work / "out" / "run.json"
    if record.exists():
        assert json.loads(record.read_text())["holes"]


def test_tokens_that_cannot_be_had(
    echo: Echo, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s2s_map.errors import ImageryError
    from s2s_map.opening.signing import signed
    from s2s_map.redaction import remember_address

    for way in WAYS:
        url = f"http://someone:{PLAIN}@127.0.0.1:{echo.port}/{way}/token?key={CODED}"
        remember_address(url)
        with pytest.raises(ImageryError, match="token") as error:
            signed("https://a.test/x.tif", url)
        assert_no_trace(str(error.value), way)


def test_what_c_writes_passes_the_gate(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", MARK)
    code = (
        "import ctypes, os, warnings, sys\n"
        "from s2s_map.redaction.streams import redacted_streams\n"
        "key = os.environ['AWS_SECRET_ACCESS_KEY']\n"
        "with redacted_streams():\n"
        "    libc = ctypes.CDLL(None)\n"
        "    libc.write(2, f'curl: {key}\\n'.encode(), len(key) + 7)\n"
        "    os.system('echo child: $AWS_SECRET_ACCESS_KEY >&2')\n"
        "    warnings.warn(f'warned of {key}')\n"
        "    print('printed', key)\n"
        "    print('to stderr', key, file=sys.stderr)\n"
        "    raise RuntimeError(key)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    # What comes after the gate is Python's own last word, which main() says in its place.
    within, _, last = said.partition("Traceback")
    assert_no_trace(within, "within")
    assert within.count("${AWS_SECRET_ACCESS_KEY}") == 5
    assert MARK in last


def test_show_hides_what_looks_like_a_key(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {
        "type": "xyz",
        "title": "Tiles",
        "url": "https://me:word-of-mine@a.test/{z}/{x}/{y}.png?appid=0123456789&LAYERS=ortho_2020"
        "&x=8fJ2kq0Zp1Lw7Yt3&k=${MY_KEY}",
        "headers": {"X-Api-Key": "0123456789", "Accept": "image/png"},
        "env": ["MY_KEY"],
        "sensor": "bing",
        "licence": "l",
        "attribution": "a",
    }
    (place.work / "data_catalog.yaml").write_text(yaml.safe_dump({"tiles": entry}))
    monkeypatch.setenv("COLUMNS", "500")
    assert call("catalog", "show", "tiles") == 0
    out = re.sub(r"\s+", "", capfd.readouterr().out)
    for secret in ("0123456789", "word-of-mine", "8fJ2kq0Zp1Lw7Yt3"):
        assert secret not in out
    for shown in (
        "appid=[hidden]",
        "LAYERS=ortho_2020",
        "k=${MY_KEY}",
        "image/png",
        "a.test",
        "'X-Api-Key':'[hidden]'",
    ):
        assert shown in out, shown
    assert "listNAMEinenv:" in out
    # Nothing to hide, nothing to say.
    assert call("catalog", "show", "iguacu_landsat8") == 0
    assert "hidden" not in capfd.readouterr().out
