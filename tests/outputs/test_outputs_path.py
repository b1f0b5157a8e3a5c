"""Paths in an object store, against a real S3 server on loopback."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from fixtures_objects import SECRET, new_bucket, proxied, serve_s3, use_s3

from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import OutputError
from s2s_map.outputs.atomic import replacing_file
from s2s_map.outputs.path import ObjectPath, output_path
from s2s_map.outputs.staging import local_copy, staged, upload_folder
from s2s_map.outputs.zarr_files import embeddings_exist
from s2s_map.redaction import redacted
from s2s_map.tiling.grid import MapGrid


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve_s3() as url:
        yield url


@pytest.fixture
def root(server: str, monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    use_s3(monkeypatch, server)
    path = output_path(f"s3://{new_bucket(server)}/some/prefix")
    assert isinstance(path, ObjectPath)
    return path


def test_output_path() -> None:
    path = output_path("s3://bucket/a//b/")
    assert (str(path), path.name, str(path.parent)) == (
        "s3://bucket/a/b",
        "b",
        "s3://bucket/a",
    )
    assert str((path / "x.tif").with_suffix(".qml")) == "s3://bucket/a/b/x.qml"
    assert output_path("out/x") == Path("out/x")
    assert output_path(path) is path


@pytest.mark.parametrize(
    "where",
    [
        "ftp://host/x",
        "https://host/x",
        "s3://",
        "s3://bucket",
        "s3:///x",
        "s3://a:b@c/x",
        "s3:/b/x",
        "gs://b/x",
        "az://b/x",
        "file:/x",
    ],
)
def test_output_path_refuses(where: str) -> None:
    with pytest.raises(OutputError, match=r"as an output.*; expected .*BUCKET/PREFIX") as refused:
        output_path(where)
    assert "\n" not in str(refused.value)


def test_objects_are_like_files(root: ObjectPath, tmp_path: Path) -> None:
    path = root / "folder/a.txt"
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        path.read_bytes()
    path.write_bytes(b"one")
    assert path.read_text() == "one"
    assert path.is_file()
    assert (root / "folder").is_dir()
    assert not (root / "fold").exists()
    (root / "folder/deep/b.txt").touch()
    assert {p.name for p in (root / "folder").iterdir()} == {"a.txt", "deep"}
    assert {str(p.relative_to(root)): i.size for p, i in root.files().items()} == {
        "folder/a.txt": 3,
        "folder/deep/b.txt": 0,
    }
    path.copy_to(root / "c.txt")
    (root / "c.txt").download(tmp_path / "x" / "c.txt")
    assert (tmp_path / "x" / "c.txt").read_bytes() == b"one"
    (root / "folder").remove_tree()
    path.unlink(missing_ok=True)
    assert [p.name for p in root.iterdir()] == ["c.txt"]


def test_conditions_of_a_put(root: ObjectPath) -> None:
    path = root / "lock"
    tag = path.write_bytes(b"1", create=True)
    with pytest.raises(FileExistsError):
        path.write_bytes(b"2", create=True)
    path.write_bytes(b"3", over=tag)
    with pytest.raises(FileExistsError):
        path.write_bytes(b"4", over=tag)
    assert path.read_bytes() == b"3"


def test_files_are_put_when_they_are_whole(root: ObjectPath, tmp_path: Path) -> None:
    target = root / "a.json"
    with suppress(ValueError), replacing_file(target) as partial:
        partial.write_text("half")
        raise ValueError
    assert not target.exists()
    with replacing_file(target) as partial:
        assert partial.suffix == ".json"
        partial.write_text("whole")
    with local_copy(target) as copy:
        assert copy.read_text() == "whole"
    assert not copy.exists()
    with suppress(ValueError), staged(root / "b") as folder:
        (folder / "x").write_text("half")
        raise ValueError
    assert not (root / "b").exists()
    with staged(root / "b") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "x").write_text("whole")
    assert (root / "b/deep/x").read_text() == "whole"
    with staged(tmp_path) as folder:
        assert folder == tmp_path


def test_what_says_that_all_is_there_is_put_last(
    server: str, root: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "root", "z"):
        (tmp_path / name).write_text(name)
    with proxied(server) as proxy:
        upload_folder(tmp_path, root, last="root")
        puts = [path for method, path in proxy.requests if method == "PUT"]
    assert puts[-1].endswith("/root")
    assert len(puts) == 3


def test_large_files_go_in_parts(root: ObjectPath, tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(17 << 20)
    (tmp_path / "large").write_bytes(data)
    (root / "large").upload(tmp_path / "large")
    (root / "large").download(tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_a_store_is_the_same_there_and_here(root: ObjectPath, tmp_path: Path) -> None:
    grid = MapGrid.from_bounds((600_000, 7_200_000, 600_900, 7_200_700), "EPSG:32721", 40, 8)
    rng = np.random.default_rng(1)
    stores = [
        EmbeddingsStore.create(place / "e.zarr", grid, 4, ["a", "b"], {"k": 1})
        for place in (root, tmp_path)
    ]
    for block in grid.iter_blocks():
        values = rng.standard_normal((2, *block.shape, 4)).astype(np.float32)
        if block.col == 1:
            values[:] = np.nan
        sums = {store.write_block(block, values) for store in stores}
        assert sums == {stores[0].checksum(block)}
    there, here = stores
    again = pickle.loads(pickle.dumps(there))  # noqa: S301
    assert again.read_rows(slice(0, 5)).tobytes() == here.read_rows(slice(0, 5)).tobytes()
    local = {
        str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()
    }
    assert {str(p.relative_to(root)): p.read_bytes() for p in root.files()} == local
    assert SECRET.encode() not in pickle.dumps(there)
    with pytest.raises(OutputError, match="exists"):
        EmbeddingsStore.create(root / "e.zarr", grid, 4, ["a"], {})


def test_a_store_is_not_there_before_its_end(root: ObjectPath) -> None:
    grid = MapGrid.from_bounds((600_000, 7_200_000, 600_400, 7_200_400), "EPSG:32721", 40, 8)
    EmbeddingsStore.create(root / "e.zarr", grid, 4, ["a"], {})
    (root / "e.zarr/zarr.json").unlink()
    assert not embeddings_exist(root / "e.zarr")
    EmbeddingsStore.create(root / "e.zarr", grid, 4, ["a"], {})


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((403, "AccessDenied"), r"access denied \(403 AccessDenied\); let these credentials"),
        ((403, "InvalidAccessKeyId"), r"credentials are not accepted \(403 InvalidAccessKeyId\)"),
        ((403, "SignatureDoesNotMatch"), "credentials are not accepted"),
        ((401, "Nobody"), "credentials are not accepted"),
        ((404, "NoSuchBucket"), "there is no such bucket; make it"),
        ((301, "PermanentRedirect"), "another region; set AWS_REGION"),
        ((503, "SlowDown"), r"refuses for the time being \(503 SlowDown\)"),
    ],
)
def test_refusals_in_one_line(
    server: str,
    root: ObjectPath,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, str],
    says: str,
) -> None:
    with proxied(server) as proxy:
        proxy.answer = lambda method, path, n: answer
        with pytest.raises(OutputError, match=says) as caught:
            root.check()
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_such_bucket(server: str, root: ObjectPath) -> None:
    elsewhere = ObjectPath("s3://no-such-bucket-at-all", "x")
    with pytest.raises(OutputError, match="there is no such bucket"):
        elsewhere.check()
    with pytest.raises(OutputError, match="there is no such bucket"):
        elsewhere.write_bytes(b"")
    assert httpx.get(f"{server}/no-such-bucket-at-all").status_code == 404


def test_nobody_listens(root: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(OutputError, match=r"http://127.0.0.1:9 cannot be reached; check the netw"):
        root.check()


def test_no_credentials(root: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    # Where machines in a cloud find theirs; nobody listens there.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OutputError, match="no credentials in the environment; set AWS_ACCESS"):
        root.check()


def test_http_only_to_a_named_endpoint(root: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OutputError):
        root.check()


def test_throttling_passes(server: str, root: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxied(server) as proxy:
        proxy.answer = lambda method, path, n: (503, "SlowDown") if n in (0, 1, 3) else None
        (root / "a").write_bytes(b"a")
        assert (root / "a").read_bytes() == b"a"
        assert len(proxy.requests) == 5


@pytest.mark.parametrize(
    "name",
    [
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_CLIENT_SECRET",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_TOKEN",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
    ],
)
def test_every_kind_of_key_is_taken_out_of_texts(
    root: ObjectPath, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"a-k3y-for-{name}")
    root.check()
    assert redacted(f"sent a-k3y-for-{name}") == f"sent ${{{name}}}"
