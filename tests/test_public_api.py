"""The public names, and the examples in their docstrings."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import s2s_map

HOMES = sorted(
    {
        "s2s_map",
        "s2s_map.catalog.catalog",
        "s2s_map.config.run",
        "s2s_map.models.registry",
        "s2s_map.pipeline.verbs.query",
        "s2s_map.pipeline.verbs.explain",
        "s2s_map.pipeline.job.job",
        "s2s_map.pipeline.verbs.open_run",
        "s2s_map.pipeline.verbs.plan",
        "s2s_map.pipeline.verbs.run",
    }
)


def test_every_public_name_is_there() -> None:
    assert sorted(s2s_map.__all__) == dir(s2s_map)
    for name in s2s_map.__all__:
        assert getattr(s2s_map, name).__doc__


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = s2s_map.nothing_here


def test_import_is_light() -> None:
    code = "import sys, s2s_map; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("home", HOMES)
def test_examples_say_the_truth(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    failed, _ = doctest.testmod(import_module(home), optionflags=doctest.ELLIPSIS)
    assert failed == 0
