"""docs/adding.md shows the packages that the tests install, and they stay small."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from fixtures_plugins import PACKAGES

from s2s_map.plugins.kinds import REGISTRIES, SOURCES

PAGE = (Path(__file__).parents[2] / "docs" / "adding.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("package", sorted(PACKAGES.iterdir()), ids=lambda path: path.name)
def test_the_page_has_the_code_that_is_tested(package: Path) -> None:
    files = [path for path in package.iterdir() if path.suffix in (".py", ".toml")]
    assert 1 <= len(files) <= 3
    for path in files:
        assert f"`{path.name}`:\n\n```" in PAGE
        shown = re.escape(path.read_text(encoding="utf-8"))
        assert re.search(rf"```(python|toml)\n{shown}```\n", PAGE), path


def test_the_page_names_every_group() -> None:
    table = PAGE.partition("**The object.**")[0]
    for registry in REGISTRIES:
        last = registry.group.rpartition(".")[2]
        assert f"`{registry.group}`" in table or f"`.{last}`" in table
    groups = {registry.group for registry in REGISTRIES}
    for package in PACKAGES.iterdir():
        project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
        assert set(project["entry-points"]) <= groups


def test_the_entry_of_the_page_is_one_of_its_schema(site: Path) -> None:
    from fixtures_plugins import install

    install("s2s-map-npy", site)
    text = PAGE.partition("    my_array:\n")[2].partition("\n\nIf your")[0]
    entry = yaml.safe_load("my_array:\n" + text.replace("\n      ", "\n  ").replace("      ", "  "))
    schema = SOURCES.get("npy").schema
    assert schema.model_validate(entry["my_array"]).sensor.gsd_m == 30
