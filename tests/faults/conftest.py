"""A job to disturb, and what it gives undisturbed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures_faults import all_bytes
from fixtures_plain_model import write_plain_job

from s2s_map.config.run import RunConfig
from s2s_map.pipeline.verbs.run import run


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    made = write_plain_job(tmp_path_factory.mktemp("faults") / "job", blocks=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(made["output"]).parent)
        yield made


@pytest.fixture(scope="module")
def undisturbed(job: dict[str, Any]) -> dict[str, bytes]:
    folder = run(RunConfig(**job)).folder
    assert isinstance(folder, Path)
    return all_bytes(folder)
