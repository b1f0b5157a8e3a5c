"""Packages that add to s2s-map, as an installer leaves them: modules and a folder of metadata."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2s_map.plugins.registry import look_again

PACKAGES = Path(__file__).parent / "data" / "plugins"


def install(package: str, site: Path, version: str | None = None) -> None:
    """Install a package of tests/data/plugins into a folder of modules.

    Args:
        package: Its name.
        site: The folder.
        version: A version other than its own.
    """
    source = PACKAGES / package
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    for module in source.glob("*.py"):
        site.mkdir(parents=True, exist_ok=True)
        shutil.copy(module, site)
    points = [
        line
        for group, named in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {place}" for name, place in named.items()))
    ]
    write_metadata(site, project["name"], version or project["version"], points)


def write_metadata(site: Path, name: str, version: str, points: list[str]) -> None:
    """Write the metadata of an installed package, in the place of those of another version."""
    for old in site.glob(f"{name.replace('-', '_')}-*.dist-info"):
        shutil.rmtree(old)
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (folder / "METADATA").write_text(metadata)
    (folder / "entry_points.txt").write_text("\n".join(points) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages that Python looks into; nothing is there yet."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(folder)
    look_again()
    yield folder
    for name in {name.partition(".")[0] for name in set(sys.modules) - before}:
        if (folder / f"{name}.py").exists():
            del sys.modules[name]
    look_again()
