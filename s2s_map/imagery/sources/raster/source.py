"""Raster files, mosaicked: the source of entries of type ``raster``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from odc.geo.crs import CRS

from s2s_map.arrays import Hole, ImageBlock
from s2s_map.catalog.catalog import files, ordered, scenes
from s2s_map.catalog.scene import Scene, inspect_scene
from s2s_map.config.catalog import RasterEntry, stated_nodata
from s2s_map.config.scale import dumped
from s2s_map.errors import ImageryError
from s2s_map.imagery.collars import has_masked_collar
from s2s_map.imagery.estimate import bytes_estimate
from s2s_map.imagery.lattice import Bounds
from s2s_map.imagery.sample import Sample, sample_files
from s2s_map.imagery.source import LonLatBounds, NamedParts, Source
from s2s_map.imagery.sources.raster.fingerprint import fingerprint, sampled_files
from s2s_map.imagery.sources.raster.reading import read_block
from s2s_map.opening.routes import permit
from s2s_map.opening.unchanged import FileStamp, Snapshot, remote_states
from s2s_map.opening.uris import is_remote
from s2s_map.redaction import redacted


@dataclass(frozen=True)
class RasterSource(Source):
    """Scenes that GDAL reads; where they overlap the first with a valid pixel wins.

    Attributes:
        entry: The catalog entry.
        scenes: Its scenes, in mosaic order.
        missing: Files that do not open, where the entry says to go on without.
    """

    entry: RasterEntry
    scenes: tuple[Scene, ...]
    missing: tuple[Hole, ...] = ()

    @classmethod
    def open(cls, entry: RasterEntry) -> RasterSource:
        """Read the headers of an entry's files.

        Raises:
            CatalogError: For a URI that names no file.
            ImageryError: For a file that is not as declared.
        """
        if entry.on_missing == "fail":
            return cls(entry, tuple(scenes(entry)))
        found: list[Scene] = []
        missing: list[Hole] = []
        for file in files(entry):
            try:
                found.append(inspect_scene(file, entry))
            except ImageryError as error:
                missing.append(Hole(redacted(error.found), redacted(file)))
        if not found:
            raise ImageryError(
                f"none of the {len(missing)} files of {entry.title} opens: {missing[0].reason}",
                remedy="check the entry's uri:",
            )
        return cls(entry, tuple(ordered(found, entry.order)), tuple(missing))

    @property
    def coverage(self) -> tuple[Scene, ...]:
        """The scenes."""
        return self.scenes

    def _read(self, bounds: Bounds, shape: tuple[int, int], crs: CRS) -> ImageBlock:
        if self.entry.redirects_to:
            # This may be another process than the one that opened it.
            permit((scene.uri for scene in self.scenes), self.entry.redirects_to)
        block = read_block(self.scenes, bounds, shape, crs, self.entry, holes=[])
        if not self.missing or block.valid.all():
            return block
        # They may have filled what is not seen here.
        return replace(block, holes=(*self.missing, *block.holes))

    def sample(self, area: LonLatBounds) -> Sample:
        """Return some pixels of all the files, wherever the area lies: neighbours agree."""
        return sample_files(self.scenes, self.entry)

    def bytes_estimate(self, bounds: Bounds, crs: CRS | str) -> int:
        """Return the uncompressed bytes of source pixels that bounds touch."""
        return bytes_estimate(self.scenes, bounds, crs)

    def identity(self) -> dict[str, Any]:
        """Return names, sizes, settings and a hash of samples: all would take hours to hash.

        Raises:
            ImageryError: For a file that has become unreadable.
        """
        entry = self.entry
        return {
            "scenes": [_scene_identity(scene) for scene in self.scenes],
            "sampled_sha256": self._sampled_sha256,
            "bands": list(entry.bands),
            "scale": dumped(entry.scale),
            "nodata": stated_nodata(entry.nodata),
            **({"order": entry.order} if entry.order != "declared" else {}),
            **({"missing": [hole.uri for hole in self.missing]} if self.missing else {}),
            **self._collars(),
        }

    def _collars(self) -> dict[str, Any]:
        """Return which files have zeros around them that count as no data; nothing if none has."""
        found = []
        for scene in self.scenes:
            try:
                if self.entry.nodata is None and has_masked_collar(scene, self.entry):
                    found.append(redacted(scene.uri).rsplit("/", 1)[-1])
            except ImageryError:
                if self.entry.on_missing == "fail":
                    raise
        return {"collars": found} if found else {}

    @cached_property
    def _sampled_sha256(self) -> str:
        # Once: a run is of the imagery as it was when it started.
        return fingerprint(self.scenes, tolerant=self.entry.on_missing == "nodata")

    def snapshot(self) -> Snapshot:
        """Return stamps and samples of local files, and what servers say of remote ones."""
        local = [scene for scene in self.scenes if not is_remote(scene.uri)]
        contents = sampled_files(self.scenes)
        stamps = {s.path: s for scene in local for s in map(_now, scene.stamps)}
        remote = remote_states([scene.uri for scene in self.scenes if is_remote(scene.uri)])
        return {
            **{path: (stamp, contents.get(path, "")) for path, stamp in stamps.items()},
            **{uri: (None, state) for uri, state in remote.items()},
        }

    @property
    def named_parts(self) -> NamedParts:
        """Scenes by their files, and the hash of samples of all of them."""
        return NamedParts({"scenes": "file"}, frozenset({"sampled_sha256", "missing"}))

    def describe(self) -> str:
        """Return how many scenes there are."""
        return f"{len(self.scenes)} scene{'s' * (len(self.scenes) != 1)}"


def _now(stamp: FileStamp) -> FileStamp:
    return FileStamp.of(stamp.path)


def _scene_identity(scene: Scene) -> dict[str, Any]:
    if is_remote(scene.uri):
        return {"file": redacted(scene.uri), "shape": list(scene.shape)}
    path = Path(scene.uri)
    return {"file": path.name, "bytes": path.stat().st_size, "shape": list(scene.shape)}
