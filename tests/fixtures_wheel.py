"""The package as somebody installs it: the wheel alone, without extras and development tools."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Of a locked requirement: its name, without extras, its version and its marker.
_PIN = re.compile(r"(?m)^([a-z0-9._-]+)(?:\[[^\]]+\])?(==[^ \\]+(?: ;[^\\\n]+)?)")


def install_wheel(folder: Path) -> Path:
    """Build the wheel, install it with its core dependencies, and return its ``s2s-map``.

    Versions are those of requirements.txt, which lie in uv's cache after the set-up.
    """
    locked = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pins = folder / "constraints.txt"
    pins.write_text("".join(f"{name}{pin}\n" for name, pin in _PIN.findall(locked)))
    _uv("build", "--quiet", "--wheel", "--out-dir", folder)
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    _uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
    _uv("pip", "install", "--quiet", "--python", python, "--constraint", pins, wheel)
    return python.with_name("s2s-map")


def _uv(*words: str | Path) -> None:
    # The one that set this checkout up, see the Makefile.
    beside = ROOT / ".uv" / "bin" / "uv"
    uv = beside if beside.exists() else shutil.which("uv")
    assert uv, "no uv: set up with make setup"
    done = subprocess.run([uv, *words], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
