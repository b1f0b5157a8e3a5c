"""Whether imagery files are still those that a run was planned with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from s2s_map.config.cloud import cloud_settings
from s2s_map.errors import ImageryChangedError
from s2s_map.opening.uris import is_remote
from s2s_map.opening.vrt import is_vrt, vrt_sources
from s2s_map.opening.zarr_group import asking, object_client
from s2s_map.redaction import redacted

# Masks and overviews that GDAL finds beside a file decide pixels as well.
_BESIDE = (".msk", ".ovr")
_MOST_FILES = 200_000
_MOST_REMOTE, _AT_A_TIME = 64, 8


@dataclass(frozen=True)
class FileStamp:
    """What a local file was like.

    Attributes:
        path: The file.
        size: Bytes; -1 if there was none.
        mtime_ns: When it was changed last, nanoseconds since 1970.
    """

    path: str
    size: int = -1
    mtime_ns: int = 0

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> FileStamp:
        """Return what a file is like now."""
        try:
            status = Path(path).stat()
        except OSError:
            return cls(os.fspath(path))
        return cls(os.fspath(path), status.st_size, status.st_mtime_ns)


type Snapshot = Mapping[str, tuple[FileStamp | None, str]]
"""By the names of files: their stamps, and hashes of what is in them; None and "" if not known."""


def local_files(uri: str) -> Iterator[Path]:
    """Yield the files that decide the pixels of a local raster, those that are there."""
    for path in _named(uri):
        yield path
        yield from (beside for beside in _beside(path) if beside.is_file())


def stamps_of(uri: str) -> tuple[FileStamp, ...]:
    """Return the stamps of the files that decide the pixels of a raster; none of a remote one.

    Masks and overviews that are not there are stamped as well: one may be put beside a file.
    """
    if is_remote(uri) or not Path(uri).is_file():
        return ()
    return tuple(FileStamp.of(path) for named in _named(uri) for path in (named, *_beside(named)))


def check_stamps(stamps: Sequence[FileStamp]) -> None:
    """Check that files are what they were when they were stamped.

    Raises:
        ImageryChangedError: For the first that is not.
    """
    for stamp in stamps:
        if FileStamp.of(stamp.path) != stamp:
            raise changed(stamp.path)


def changed(name: str) -> ImageryChangedError:
    """Return the error that an imagery file is no longer what the run was planned with."""
    return ImageryChangedError(
        f"{name} was replaced or changed during the run",
        remedy="put it back and start the same run again, or map the new imagery with --overwrite",
    )


def folder_stamp(folder: Path) -> str:
    """Return what changes when a file below a folder does: its name, size or time.

    Of very many files those that the system lists first count.
    """
    digest, count = hashlib.sha256(), 0
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            stamp = FileStamp.of(Path(root) / name)
            digest.update(f"{stamp.path}\0{stamp.size}\0{stamp.mtime_ns}\n".encode())
            count += 1
        if count > _MOST_FILES:
            break
    return digest.hexdigest()


def remote_states(uris: Sequence[str]) -> dict[str, str]:
    """Return what servers say of files: size, time and e_tag; "" where one does not say.

    Of very many files some are asked for, spread over all.
    """
    step = max(1, -(-len(uris) // _MOST_REMOTE))
    asked = uris[::step]
    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="imagery") as pool:
        return dict(zip(map(redacted, asked), pool.map(_remote_state, asked), strict=True))


def _remote_state(uri: str) -> str:
    if "?" in uri:
        return ""  # Signed for reading alone.
    import obstore

    folder, _, name = uri.rpartition("/")
    try:
        with asking(uri):
            found = obstore.head(object_client(folder, dict(cloud_settings())), name)
    except Exception:
        # Whatever is wrong is said by who reads the file: here it only is not known.
        return ""
    return f"{found['size']} {found['last_modified']} {found['e_tag']}"


def changed_files(before: Snapshot, after: Snapshot) -> dict[str, bool]:
    """Return the files that differ, and whether their stamps do.

    What is not known, before or after, does not differ.
    """
    found = {}
    for name, (stamp, content) in before.items():
        now, there = after.get(name, (None, ""))
        if stamp is not None and now is not None and stamp != now:
            found[name] = True
        elif content and there and content != there:
            found[name] = False
    return found


def _named(uri: str) -> Iterator[Path]:
    path = Path(uri)
    yield path
    if is_vrt(path):
        yield from vrt_sources(path)


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in _BESIDE]
