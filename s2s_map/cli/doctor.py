"""``s2s-map doctor``: what works on this machine and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from s2s_map.cli.console import Console, styled
from s2s_map.errors import S2SMapError
from s2s_map.extras import has_extra

_EXTRAS = {
    "online": "for imagery from servers and outputs in object stores",
    "recordings": "for m4a and other formats of phones",
    "evaluate": "to evaluate",
    "train": "to train",
}

State = Literal["ok", "no", "-"]
_MARKS = {"ok": ("ok", "green"), "no": ("no", "red"), "-": ("--", "dim")}


def doctor_command() -> None:
    """Check versions, GPU, GDAL drivers, models and the catalog: what works and what does not."""
    console = Console()
    broken = 0
    for state, what in _checks():
        broken += state == "no"
        console.print(styled(_MARKS[state], f" {what}"), soft_wrap=True)
    console.print("all well" if not broken else f"{broken} of these do not work", highlight=False)
    if broken:
        raise SystemExit(2)


def _checks() -> Iterator[tuple[State, str]]:
    from s2s_map.rasters.provenance import software_versions

    for name, version in software_versions().items():
        yield "ok", f"{name} {version}"
    yield _gpu()
    yield from _drivers()
    yield from _models()
    yield _catalog()
    yield from _plugins()
    for extra, use in _EXTRAS.items():
        there = has_extra(extra)
        remedy = "" if there else f": not installed; pip install 's2s-map[{extra}]' {use}"
        yield ("ok" if there else "-"), f"extra {extra}{remedy}"


def _gpu() -> tuple[State, str]:
    import torch

    if torch.cuda.is_available():
        return "ok", f"GPU: {torch.cuda.get_device_name(0)}"
    return "-", f"GPU: none that torch can use; the CPU serves ({torch.get_num_threads()} threads)"


def _drivers() -> Iterator[tuple[State, str]]:
    from rasterio.env import Env, GDALVersion

    with Env() as env:
        drivers = env.drivers()
    yield "ok", f"GDAL {GDALVersion.runtime()}, {len(drivers)} drivers"
    for driver in ("GTiff", "COG", "Zarr", "JP2OpenJPEG", "VRT"):
        yield ("ok" if driver in drivers else "no"), f"GDAL driver {driver}"


def _models() -> Iterator[tuple[State, str]]:
    from s2s_map.models.registry import list_models, load_model

    for card in list_models():
        try:
            model = load_model(card.name)
            length = len(model.embed_text("birds singing"))
        except S2SMapError as error:
            yield "no", f"model {card.name}: {error}"
        else:
            yield "ok", f"model {card.name}: weights match their hash, text gives {length} numbers"


def _plugins() -> Iterator[tuple[State, str]]:
    from s2s_map.plugins.kinds import REGISTRIES

    for registry in REGISTRIES:
        faults = registry.faults()
        yield from (("no", fault) for fault in faults)
        for name in sorted(registry.installed().keys() - registry.built_in.keys()):
            if not any(f"{registry.key}: {name}" in fault for fault in faults):
                yield "ok", f"{registry.key}: {name} of the package {registry.package(name)}"


def _catalog() -> tuple[State, str]:
    from s2s_map.catalog.catalog import load_catalog, whole
    from s2s_map.imagery.sources.open_source import is_online, open_source

    try:
        catalog = load_catalog()
        for entry in map(whole, catalog.values()):
            # Sources on servers are of no use without the extra, which is named below.
            if has_extra("online") or not is_online(entry):
                open_source(entry)
    except S2SMapError as error:
        return "no", f"catalog: {error}"
    return "ok", f"catalog: {len(catalog)} sources, all found"
