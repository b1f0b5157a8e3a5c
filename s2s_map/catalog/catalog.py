"""Finding catalog entries by name and the scenes they name."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from s2s_map.catalog.environment import expanded, remember_variables
from s2s_map.catalog.scene import Scene, inspect_scene
from s2s_map.config.catalog import (
    Catalog,
    CatalogEntry,
    DeferredEntry,
    MosaicOrder,
    RasterEntry,
)
from s2s_map.config.deferred import SHOWN
from s2s_map.config.entry import Entry
from s2s_map.config.files import LONGEST_NAME, is_file, is_folder
from s2s_map.config.load import parse_model, parse_yaml, read_yaml
from s2s_map.config.run import CATALOG_FILE
from s2s_map.config.text import shown, text_fault
from s2s_map.errors import CatalogError, ImageryError, PluginError
from s2s_map.opening.routes import permit
from s2s_map.opening.uris import (
    SAMPLE_SCHEME,
    check_uri,
    from_remote_catalog,
    is_remote,
    is_web,
)
from s2s_map.plugins.kinds import SOURCES
from s2s_map.plugins.registry import PREFIX
from s2s_map.redaction import redacted, remember, remember_address
from s2s_map.redaction.known import is_secret_name

FILE_NAME = CATALOG_FILE
_SUFFIXES = {".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg", ".img", ".vrt"}
_MOST_ENTRIES = 10_000
_SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie")
_FETCH_TIMEOUT_S, _FETCH_MOST_BYTES = 30.0, 4_000_000


def load_catalog(paths: Sequence[str | Path] = ()) -> Catalog:
    """Return all entries of the search path; the first entry of a name wins.

    The search path: the files given, ``data_catalog.yaml`` in the working folder, the user's
    ``~/.config/s2s-map/data_catalog.yaml`` (or below ``$XDG_CONFIG_HOME``), and the shipped one.
    Relative paths in an entry are relative to its catalog file.

    Args:
        paths: Catalog files that must exist, or http(s) addresses. Entries of a fetched catalog
            may not name files of this machine or environment variables.

    Raises:
        CatalogError: For a file that is missing or not a mapping of entries.
        ConfigError: For an entry that does not validate.

    Examples:
        >>> load_catalog()["iguacu_landsat8"].licence
        'public domain'
    """
    catalog: Catalog = {}
    for _, entries in _catalogs(paths):
        for name, entry in entries.items():
            catalog.setdefault(name, entry)
    return catalog


def find_entry(
    name: str, paths: Sequence[str | Path] = (), own: str | Path | None = None
) -> tuple[CatalogEntry, Path | None]:
    """Return an entry by name, and the local file that it stands in, None for another place.

    Args:
        name: The name.
        paths: Catalog files that must exist, or http(s) addresses.
        own: A further one, which comes after them and before the usual ones.

    Raises:
        CatalogError: For an unknown name; it suggests the nearest one and says where was looked.
        ConfigError: For an entry that does not validate.
    """
    # An older run may name one that is gone; another that is given takes its place.
    kept = [own] if own is not None and (not paths or is_file(Path(own))) else []
    everywhere: Catalog = {}
    looked: list[str] = []
    for path, entries in _catalogs([*paths, *kept]):
        if name in entries:
            local = not isinstance(path, str) and path != shipped_catalog()
            return whole(entries[name]), Path(path).absolute() if local else None
        everywhere = {**entries, **everywhere}
        looked.append("the shipped catalog" if path == shipped_catalog() else redacted(str(path)))
    near = difflib.get_close_matches(name, everywhere, n=1, cutoff=0.5)
    raise CatalogError(
        f"no imagery source named {name!r} in {', '.join(looked)}",
        expected=f"one of {', '.join(sorted(everywhere))}",
        remedy=f"did you mean {near[0]!r}?"
        if near
        else f"put {FILE_NAME} beside the config, or name it with catalog: or --catalog",
    )


def _catalogs(paths: Sequence[str | Path]) -> Iterator[tuple[str | Path, Catalog]]:
    for path in dict.fromkeys(_search_path(paths)):
        shipped = not isinstance(path, str) and path == shipped_catalog()
        yield path, _read_shipped() if shipped else _read_catalog(path)


def get_entry(name: str, catalog: Catalog) -> CatalogEntry:
    """Return an entry by name.

    Raises:
        CatalogError: For an unknown name; it suggests the nearest one.
    """
    if name in catalog:
        return whole(catalog[name])
    near = difflib.get_close_matches(name, catalog, n=1, cutoff=0.5)
    raise CatalogError(
        f"no imagery source named {name!r}",
        expected=f"one of {', '.join(sorted(catalog))}" if catalog else "",
        remedy=f"did you mean {near[0]!r}?" if near else "see `s2s-map catalog list`",
    )


def whole(entry: CatalogEntry) -> CatalogEntry:
    """Return an entry as the schema of its type has it: that of a package is imported here.

    Raises:
        PluginError: For a type that no package brings, or one that cannot be used.
        ConfigError: For an entry that does not validate.
    """
    if not isinstance(entry, DeferredEntry):
        return entry
    try:
        schema = SOURCES.get(entry.type).schema
    except PluginError as error:
        raise PluginError(
            f"{entry.where}: {error.found}", expected=error.expected, remedy=error.remedy
        ) from error
    if not (isinstance(schema, type) and issubclass(schema, Entry)):
        raise PluginError(
            f"{entry.where}: the schema of type: {entry.type} is {schema!r}",
            expected="a subclass of s2s_map.config.entry.Entry",
            remedy="see docs/adding.md",
        )
    parsed = parse_model(schema, entry.fields, entry.where)
    remember_variables(parsed)
    return parsed.anchored(partial(_anchored, catalog=Path(entry.catalog)))


def scenes(entry: RasterEntry) -> list[Scene]:
    """Return the scenes of an entry in mosaic order; reads headers only.

    Raises:
        CatalogError: For an address of another kind.
        ImageryError: For a file that is missing, not a raster, without CRS, with too few bands, or
            with values that need a scale.
    """
    return ordered([inspect_scene(file, entry) for file in files(entry)], entry.order)


def files(entry: RasterEntry) -> list[str]:
    """Return the files of an entry, each once, in the order in which they are named.

    Raises:
        CatalogError: For an address of another kind, or one that needs an undeclared variable.
        ImageryError: For a path, folder or glob without a file.
    """
    named = [expanded(uri, entry) if is_remote(uri) else uri for uri in entry.uris]
    found = list(dict.fromkeys(file for uri in named for file in _files(uri)))
    permit(filter(is_remote, found), entry.redirects_to)
    return found


def ordered(found: Sequence[Scene], order: MosaicOrder) -> list[Scene]:
    """Return scenes in mosaic order: as named, the newest first, or the finest first.

    Raises:
        CatalogError: For `newest` and a file name without a date.
    """
    if order == "newest":
        return sorted(found, key=lambda scene: _date(scene.uri), reverse=True)
    if order == "finest":
        return sorted(found, key=lambda scene: round(scene.gsd_m, 3))
    return list(found)


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


def _search_path(paths: Sequence[str | Path]) -> Iterator[str | Path]:
    for given in paths:
        if is_web(str(given)):
            yield str(given)
            continue
        path = Path(given)
        if not is_file(path):
            raise CatalogError(f"no catalog file {path}", remedy="check --catalog, or catalog:")
        yield path
    config_home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    for path in (Path(FILE_NAME), Path(config_home) / "s2s-map" / FILE_NAME, shipped_catalog()):
        if path.is_file():
            yield path


@cache
def _read_shipped() -> Catalog:
    # It does not change while the program runs.
    return _read_catalog(shipped_catalog())


def _read_catalog(path: str | Path) -> Catalog:
    data = _fetch(path) if isinstance(path, str) else read_yaml(path)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise CatalogError(
            f"{path} holds a {type(data).__name__}", expected="entries by name", remedy="see README"
        )
    if len(data) > _MOST_ENTRIES:
        raise CatalogError(f"{path} holds {len(data):,} entries", expected=f"{_MOST_ENTRIES:,}")
    for name in data:
        if not isinstance(name, str) or len(name) > LONGEST_NAME or text_fault(name):
            raise CatalogError(
                f"{path} has an entry named {shown(name)}",
                expected=f"a text of one line and at most {LONGEST_NAME} characters",
                remedy="put a number or a word such as NO in quotes",
            )
    return {name: _parse_entry(path, name, fields) for name, fields in data.items()}


def _parse_entry(path: str | Path, name: str, fields: object) -> CatalogEntry:
    where = f"{path}: {name}"
    if not isinstance(fields, dict):
        raise CatalogError(f"{where} holds {shown(fields)}", expected="the fields of an entry")
    kind = fields.get("type")
    if not isinstance(kind, str):
        raise CatalogError(
            f"{where} has {f'type: {shown(kind)}' if 'type' in fields else 'no type'}",
            expected=SOURCES.known(),
        )
    remember_keys(fields)
    code = _names_code(kind)
    if code and isinstance(path, str):
        # Whoever serves it would choose what runs here.
        raise CatalogError(
            f"{redacted(where)} was fetched and has type: {shown(kind)}, which is code",
            remedy="copy the entry into your own catalog file to allow it",
        )
    if kind in SOURCES.built_in:
        entry: Entry = parse_model(SOURCES.get(kind).schema, fields, where)
    else:
        entry = _deferred(fields, kind, where, str(path))
    remember_variables(entry)
    if isinstance(path, str) and entry.env:
        # It could send any variable to any host.
        raise CatalogError(
            f"{redacted(where)} was fetched and asks for the environment variable"
            f"{'s' * (len(entry.env) > 1)} {', '.join(entry.env)}",
            remedy="copy the entry into your own catalog file to allow it",
        )
    return entry.anchored(partial(_anchored, catalog=path))


def _names_code(kind: str) -> bool:
    """Return whether reading entries of a type runs code that is not s2s_map's own."""
    return kind not in SOURCES.built_in or bool(getattr(SOURCES.get(kind), "runs_code", False))


def _deferred(fields: dict[str, Any], kind: str, where: str, catalog: str) -> DeferredEntry:
    if not kind.startswith(PREFIX) and kind not in SOURCES.installed():
        try:
            SOURCES.package(kind)
        except PluginError as error:
            raise CatalogError(
                f"{where} has type: {shown(kind)}", expected=error.expected, remedy=error.remedy
            ) from None
    common = parse_model(Entry, {key: fields[key] for key in SHOWN if key in fields}, where)
    about: dict[str, Any] = {"fields": fields, "where": where, "catalog": catalog}
    return DeferredEntry.model_construct(None, **dict(common), **about)


def remember_keys(fields: object, name: str = "") -> None:
    """Have what is secret in the fields of an entry taken out of all texts, valid or not."""
    if isinstance(fields, dict):
        for key, value in fields.items():
            remember_keys(value, str(key))
    elif isinstance(fields, list):
        for value in fields:
            remember_keys(value, name)
    elif isinstance(fields, str):
        if "://" in fields:
            remember_address(fields)
        elif (is_secret_name(name) or name.lower() in _SECRET_HEADERS) and "${" not in fields:
            # Headers name their scheme first: Bearer, Basic.
            for part in (fields, fields.rpartition(" ")[2]):
                remember(name, part)


def _anchored(uri: str, catalog: str | Path) -> str:
    if isinstance(catalog, str):
        return from_remote_catalog(uri, catalog)
    check_uri(uri)
    if uri.startswith(SAMPLE_SCHEME) or is_remote(uri):
        return uri
    return str(catalog.resolve().parent / uri)


def _fetch(url: str) -> object:
    import httpx2

    remember_address(url)

    try:
        with httpx2.stream("GET", url, timeout=_FETCH_TIMEOUT_S) as response:
            response.raise_for_status()
            text = b""
            for piece in response.iter_bytes():
                text += piece
                if len(text) > _FETCH_MOST_BYTES:
                    raise CatalogError(f"the catalog {redacted(url)} is larger than 4 MB")
    except httpx2.HTTPError as error:
        raise CatalogError(
            f"the catalog {redacted(url)} cannot be fetched ({redacted(str(error))})",
            remedy="check --catalog",
        ) from None
    return parse_yaml(text.decode("utf-8", errors="replace"), redacted(url))


def _date(uri: str) -> str:
    name = uri.rsplit("/", 1)[-1]
    match = re.search(r"(?<!\d)((?:19|20)\d{2})[-_]?(0[1-9]|1[0-2])[-_]?([0-3]\d)", name)
    if match is None:
        raise CatalogError(
            f"{name} has no date in its name",
            expected="YYYYMMDD or YYYY-MM-DD, for order: newest",
            remedy="rename it, or list the files in order: declared",
        )
    return "".join(match.groups())


def _files(uri: str) -> list[str]:
    if uri.startswith(SAMPLE_SCHEME):
        return [str(sample_path(uri.removeprefix(SAMPLE_SCHEME)))]
    check_uri(uri)
    if is_remote(uri):
        if glob.has_magic(uri.split("?")[0]):
            raise CatalogError(
                f"the pattern {redacted(uri)}",
                expected="the addresses of files, one by one: listings differ between servers",
                remedy="list them under uri:, or name a VRT or STAC entry",
            )
        return [uri]
    path = Path(uri)
    if is_file(path):
        return [uri]
    if is_folder(path):
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
