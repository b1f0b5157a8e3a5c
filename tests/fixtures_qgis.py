"""The real QGIS, Debian's, without a display."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", ""),
    "HOME": os.environ.get("HOME", "/"),
    "QT_QPA_PLATFORM": "offscreen",
    "LC_ALL": "C.UTF-8",
}


@cache
def qgis_missing() -> str:
    """Return why QGIS cannot be used; empty if it can."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"no {SYSTEM_PYTHON}"
    command = [SYSTEM_PYTHON, "-c", "import qgis.core"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else "QGIS is not installed: apt-get install python3-qgis"


def needs_qgis() -> list[pytest.MarkDecorator]:
    """Return the marks of a module that opens files in QGIS.

    Where it is required, as in CI, a machine without it fails.
    """
    wanted = "S2S_MAP_REQUIRE_QGIS" in os.environ
    reason = "" if wanted else qgis_missing()
    return [pytest.mark.qgis, pytest.mark.skipif(bool(reason), reason=reason or "-")]


def asked(script: Path, *arguments: str) -> Any:
    """Return what a script says last, as JSON, when QGIS's own Python runs it."""
    done = subprocess.run(
        [SYSTEM_PYTHON, str(script), *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stderr.write(done.stderr)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
