"""Paths in an object store, such as ``s3://bucket/prefix``, in the manner of pathlib.

An object appears whole or not at all and is durable once put; there are no folders, renames or
appends. What a path promises is what obstore, the library underneath, gives for S3 and what speaks
its protocol. gs:// and az:// are refused: the lease and the switch to new results stand on
conditional puts, which there need a version beside the e_tag.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from s2s_map.errors import OutputError
from s2s_map.extras import check_extra
from s2s_map.outputs.s3_client import object_client, object_errors

_SCHEMES = ("s3",)
_URL = re.compile(r"([a-z0-9+.-]+)://([^/]*)/*(.*)", re.IGNORECASE)
# One letter is a drive.
_ONE_SLASH = re.compile(r"([a-z0-9+.-]{2,}):/(?!/)", re.IGNORECASE)
_AT_A_TIME = 16


@dataclass(frozen=True)
class ObjectInfo:
    """What the store says of an object.

    Attributes:
        e_tag: Changes with the content.
        modified: When it was put, by the server's clock.
        size: Bytes.
    """

    e_tag: str
    modified: datetime
    size: int


@dataclass(frozen=True)
class ObjectPath:
    """A place in an object store; holds no connection and no credentials, so it pickles.

    Attributes:
        bucket: Such as ``s3://bucket``.
        key: What follows, without slashes at its ends.
    """

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}"

    def __truediv__(self, name: str | PurePosixPath) -> ObjectPath:
        return ObjectPath(self.bucket, f"{self.key}/{name}".strip("/"))

    @property
    def name(self) -> str:
        """The last part."""
        return PurePosixPath(self.key).name

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return PurePosixPath(self.key).suffix

    @property
    def parent(self) -> ObjectPath:
        """All but the last part."""
        return ObjectPath(self.bucket, self.key.rpartition("/")[0])

    def with_suffix(self, suffix: str) -> ObjectPath:
        """Return the path with another ending."""
        return ObjectPath(self.bucket, str(PurePosixPath(self.key).with_suffix(suffix)))

    def relative_to(self, other: ObjectPath) -> PurePosixPath:
        """Return the part below another path."""
        return PurePosixPath(self.key).relative_to(other.key)

    def check(self) -> None:
        """Ask for what is there, once and without patience.

        Raises:
            OutputError: If the store cannot be reached or read, with the reason.
        """
        import obstore

        with object_errors(self):
            obstore.list_with_delimiter(object_client(self.bucket, patient=False), self.key)

    def info(self) -> ObjectInfo:
        """Return what the store says of the object.

        Raises:
            FileNotFoundError: If there is none.
        """
        import obstore

        with object_errors(self):
            return _info(obstore.head(object_client(self.bucket), self.key))

    def is_file(self) -> bool:
        """Return whether there is an object of this key."""
        try:
            self.info()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Return whether there are objects below."""
        import obstore

        with object_errors(self):
            listed = obstore.list_with_delimiter(object_client(self.bucket), self.key)
        return bool(listed["objects"] or listed["common_prefixes"])

    def exists(self) -> bool:
        """Return whether there is anything."""
        return self.is_file() or self.is_dir()

    def iterdir(self) -> Iterator[ObjectPath]:
        """Yield what lies directly below, folders included."""
        import obstore

        with object_errors(self):
            listed = obstore.list_with_delimiter(object_client(self.bucket), self.key)
        for key in (*listed["common_prefixes"], *(meta["path"] for meta in listed["objects"])):
            yield ObjectPath(self.bucket, key)

    def files(self) -> dict[ObjectPath, ObjectInfo]:
        """Return all objects below, however deep."""
        import obstore

        with object_errors(self):
            return {
                ObjectPath(self.bucket, meta["path"]): _info(meta)
                for part in obstore.list(object_client(self.bucket), self.key)
                for meta in part
            }

    def read_bytes(self) -> bytes:
        """Return the content.

        Raises:
            FileNotFoundError: If there is no such object.
        """
        return self.read_tagged()[0]

    def read_tagged(self) -> tuple[bytes, ObjectInfo]:
        """Return the content together with what the store says of it."""
        import obstore

        with object_errors(self):
            found = obstore.get(object_client(self.bucket), self.key)
            return bytes(found.bytes()), _info(found.meta)

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content as text."""
        return self.read_bytes().decode(encoding)

    def stream(self) -> Iterator[bytes]:
        """Yield the content in parts.

        Raises:
            FileNotFoundError: If there is no such object.
        """
        import obstore

        with object_errors(self):
            for part in obstore.get(object_client(self.bucket), self.key).stream():
                yield bytes(part)

    def write_bytes(self, data: bytes, *, create: bool = False, over: str = "") -> str:
        """Put an object.

        Args:
            data: The content.
            create: Only if there is no object yet.
            over: Only if this is the e_tag of the object that is there.

        Returns:
            The new e_tag.

        Raises:
            FileExistsError: If the condition is not met.
            OutputError: If it cannot be put.
        """
        import obstore

        mode: Any = "create" if create else {"e_tag": over} if over else "overwrite"
        with object_errors(self):
            put = obstore.put(object_client(self.bucket), self.key, data, mode=mode)
        return str(put["e_tag"])

    def touch(self) -> None:
        """Put an empty object, a mark."""
        self.write_bytes(b"")

    def mkdir(self, *, parents: bool = True, exist_ok: bool = True) -> None:
        """Do nothing: there are no folders to be made."""

    def upload(self, file: Path) -> None:
        """Put a local file, in parts if it is large."""
        import obstore

        with object_errors(self):
            obstore.put(object_client(self.bucket), self.key, file)

    def download(self, file: Path) -> None:
        """Copy the object into a local file."""
        import obstore

        file.parent.mkdir(parents=True, exist_ok=True)
        with object_errors(self), file.open("wb") as target:
            target.writelines(obstore.get(object_client(self.bucket), self.key).stream())

    def copy_to(self, target: ObjectPath) -> None:
        """Copy the object within the bucket, on the server."""
        import obstore

        with object_errors(target):
            obstore.copy(object_client(self.bucket), self.key, target.key)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object; one that is missing is not an error, as the stores have it."""
        import obstore

        with object_errors(self):
            try:
                obstore.delete(object_client(self.bucket), self.key)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def remove_tree(self) -> None:
        """Remove all objects below."""
        remove_objects(list(self.files()))


type OutputPath = Path | ObjectPath
"""Where outputs may lie."""


def output_path(where: str | os.PathLike[str] | ObjectPath) -> OutputPath:
    """Return a local path, or one in an object store for ``s3://bucket/prefix``.

    Raises:
        OutputError: For another scheme, or no bucket or prefix.

    Examples:
        >>> output_path("s3://maps/kenya/").name
        'kenya'
        >>> output_path("out/kenya").name
        'kenya'
    """
    if isinstance(where, ObjectPath):
        return where
    match = _URL.fullmatch(os.fspath(where))
    slash = _ONE_SLASH.match(os.fspath(where))
    if slash is not None:
        raise OutputError(
            f"{where} as an output, with one slash",
            expected="s3://BUCKET/PREFIX, or a folder",
            remedy=f"for a folder write ./{where}",
        )
    if match is None:
        return Path(where).expanduser()
    scheme, bucket, key = match[1].lower(), match[2], match[3].strip("/")
    if scheme not in _SCHEMES:
        raise OutputError(f"{where} as an output", expected="a folder, or s3://BUCKET/PREFIX")
    if not bucket or not key or "@" in bucket:
        raise OutputError(f"{where} as an output", expected=f"{scheme}://BUCKET/PREFIX")
    check_extra("online", f"an output at {where}", error=OutputError, instead="name a folder")
    return ObjectPath(f"{scheme}://{bucket}", re.sub("/+", "/", key))


def as_local(path: OutputPath) -> Path:
    """Return a path that is local; who calls this knows that it is."""
    if not isinstance(path, Path):
        raise TypeError(f"{path} is not local")
    return path


def as_object(path: OutputPath) -> ObjectPath:
    """Return a path that is in an object store; who calls this knows that it is."""
    if not isinstance(path, ObjectPath):
        raise TypeError(f"{path} is local")
    return path


def relative_name(file: OutputPath, folder: OutputPath) -> str:
    """Return how to get from a folder to a file, with slashes."""
    return Path(os.path.relpath(str(file), str(folder))).as_posix()


def zarr_target(path: OutputPath, *, read_only: bool = False) -> Any:
    """Return what zarr and xarray open a group at `path` by."""
    if isinstance(path, Path):
        return path
    from zarr.storage import ObjectStore

    return ObjectStore(object_client(str(path)), read_only=read_only)


def transfer(files: Sequence[tuple[ObjectPath, Path]], *, up: bool) -> None:
    """Upload or download several files, some at a time.

    Raises:
        OutputError: For the first that fails.
    """

    def one(pair: tuple[ObjectPath, Path]) -> None:
        remote, local = pair
        remote.upload(local) if up else remote.download(local)

    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="transfer") as pool:
        for _ in pool.map(one, files):
            pass


def copy_objects(pairs: Sequence[tuple[ObjectPath, ObjectPath]]) -> None:
    """Copy objects within a bucket, on the server, some at a time.

    Raises:
        OutputError: For the first that fails.
    """
    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="copy") as pool:
        for _ in pool.map(lambda pair: pair[0].copy_to(pair[1]), pairs):
            pass


def remove_objects(paths: Sequence[ObjectPath]) -> None:
    """Remove objects of one bucket; those that are missing are not an error.

    Raises:
        OutputError: If they cannot be removed.
    """
    import obstore

    if not paths:
        return
    with object_errors(paths[0]), suppress(FileNotFoundError):
        obstore.delete(object_client(paths[0].bucket), [path.key for path in paths])


@contextmanager
def wrapped(path: OutputPath) -> Iterator[None]:
    """Give errors of an object store's client in one line; local paths are left alone."""
    if isinstance(path, Path):
        yield
        return
    with object_errors(path):
        yield


def _info(meta: Any) -> ObjectInfo:
    return ObjectInfo(str(meta["e_tag"]), meta["last_modified"], int(meta["size"]))
