"""Finding catalog entries by name and the scenes they name."""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from s2s_map.catalog.scene import Scene, inspect_scene
from s2s_map.config.catalog import ENTRY_TYPES, Catalog, CatalogEntry, RasterEntry
from s2s_map.config.load import parse_model, read_yaml
from s2s_map.errors import CatalogError, ImageryError

FILE_NAME = "data_catalog.yaml"
SAMPLE_SCHEME = "sample:"
_SUFFIXES = {".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg", ".img"}


def load_catalog(paths: Sequence[str | Path] = ()) -> Catalog:
    """Return all entries of the search path; the first entry of a name wins.

    The search path: the files given, ``data_catalog.yaml`` in the working folder, the user's
    ``~/.config/s2s-map/data_catalog.yaml`` (or below ``$XDG_CONFIG_HOME``), and the shipped one.
    Relative paths in an entry are relative to its catalog file.

    Args:
        paths: Catalog files that must exist.

    Raises:
        CatalogError: For a file that is missing or not a mapping of entries.
        ConfigError: For an entry that does not validate.

    Examples:
        >>> load_catalog()["iguacu_landsat8"].licence
        'public domain'
    """
    catalog: Catalog = {}
    for path in _search_path(paths):
        for name, entry in _read_catalog(path).items():
            catalog.setdefault(name, entry)
    return catalog


def get_entry(name: str, catalog: Catalog) -> CatalogEntry:
    """Return an entry by name.

    Raises:
        CatalogError: For an unknown name; it suggests the nearest one.
    """
    if name in catalog:
        return catalog[name]
    near = difflib.get_close_matches(name, catalog, n=1, cutoff=0.5)
    raise CatalogError(
        f"no imagery source named {name!r}",
        expected=f"one of {', '.join(sorted(catalog))}" if catalog else "",
        remedy=f"did you mean {near[0]!r}?" if near else "see `s2s-map catalog list`",
    )


def scenes(entry: RasterEntry) -> list[Scene]:
    """Return the scenes of an entry in mosaic order; reads headers only.

    Raises:
        CatalogError: For a URI that is not local, or names no file.
        ImageryError: For a file that is missing, not a raster, without CRS, with too few bands, or
            with values that need a scale.
    """
    files = [file for uri in entry.uris for file in _files(uri)]
    unique = list(dict.fromkeys(files))
    return [inspect_scene(file, entry) for file in unique]


def shipped_catalog() -> Path:
    """Return the path of the catalog that comes with s2s_map."""
    packaged = Path(__file__).resolve().parent / FILE_NAME
    if packaged.is_file():
        return packaged
    # An editable install: the file is at the top of the repository.
    return Path(__file__).resolve().parents[2] / FILE_NAME


def sample_path(name: str) -> Path:
    """Return the path of a file of the sample data.

    Raises:
        CatalogError: For a name that is not there.
    """
    folder = Path(__file__).resolve().parents[1] / "sample_data"
    known = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    if name not in known:
        raise CatalogError(
            f"no sample data named {name!r}",
            expected=f"one of {', '.join(n for n in known if not n.endswith('.md'))}",
        )
    return folder / name


def _search_path(paths: Sequence[str | Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        if not path.is_file():
            raise CatalogError(f"no catalog file {path}", remedy="check --catalog")
        yield path
    config_home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    for path in (Path(FILE_NAME), Path(config_home) / "s2s-map" / FILE_NAME, shipped_catalog()):
        if path.is_file():
            yield path


def _read_catalog(path: Path) -> Catalog:
    data = read_yaml(path)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise CatalogError(
            f"{path} holds a {type(data).__name__}", expected="entries by name", remedy="see README"
        )
    return {str(name): _parse_entry(path, str(name), fields) for name, fields in data.items()}


def _parse_entry(path: Path, name: str, fields: object) -> CatalogEntry:
    where = f"{path}: {name}"
    if not isinstance(fields, dict):
        raise CatalogError(f"{where} holds {fields!r}", expected="the fields of an entry")
    kind = fields.get("type")
    if kind not in ENTRY_TYPES:
        raise CatalogError(
            f"{where} has {f'type: {kind}' if 'type' in fields else 'no type'}",
            expected=f"type: {' or '.join(ENTRY_TYPES)}",
        )
    entry = parse_model(ENTRY_TYPES[kind], fields, where)
    if not isinstance(entry, RasterEntry):
        return entry
    return entry.model_copy(update={"uri": tuple(_anchored(uri, path) for uri in entry.uris)})


def _anchored(uri: str, catalog_file: Path) -> str:
    if uri.startswith(SAMPLE_SCHEME) or _is_remote(uri):
        return uri
    return str(catalog_file.resolve().parent / uri)


def _is_remote(uri: str) -> bool:
    return "://" in uri or uri.startswith("/vsi")


def _files(uri: str) -> list[str]:
    if uri.startswith(SAMPLE_SCHEME):
        return [str(sample_path(uri.removeprefix(SAMPLE_SCHEME)))]
    if _is_remote(uri):
        raise CatalogError(
            f"the source {uri.split('?')[0]} is not a local file",
            expected="a path, a glob, a folder or sample:NAME",
            remedy="fetch the file first",
        )
    path = Path(uri)
    if path.is_file():
        return [uri]
    if path.is_dir():
        found = sorted(str(p) for p in path.iterdir() if p.suffix.lower() in _SUFFIXES)
    elif glob.has_magic(uri):
        # Path.glob does not take absolute patterns.
        matches = glob.glob(uri, recursive=True)  # noqa: PTH207
        found = sorted(match for match in matches if Path(match).is_file())
    else:
        raise ImageryError(
            f"no file {uri}",
            remedy="check the entry's uri:; paths are relative to the catalog file",
        )
    if not found:
        raise ImageryError(f"no images in {uri}", expected=f"files such as *{min(_SUFFIXES)}")
    return found
