from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from s2s_map.errors import ImageryError
from s2s_map.extras import _MODULES, check_extra, has_extra

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


def test_extras_are_those_of_the_project() -> None:
    assert set(_MODULES) <= set(PROJECT["optional-dependencies"])


def test_what_is_missing_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(ImageryError) as raised:
        check_extra(
            "online", "a map", "no_such_package.part", error=ImageryError, instead="draw it"
        )
    assert raised.value.found == "a map needs packages that are not installed: no_such_package.part"
    assert raised.value.remedy == "pip install 's2s-map[online]', or draw it"
    assert not has_extra("online", "no_such_package")


def test_what_is_there_passes() -> None:
    check_extra("online", "a map")
    assert has_extra("online")


def test_the_core_depends_on_few_packages() -> None:
    assert len(PROJECT["dependencies"]) < 36
