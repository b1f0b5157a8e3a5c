"""What this project wrote into an output: nothing else is ever removed or written over.

``run.json`` lists every file of its results, with size and checksum. In a folder ``.manifest.json``
lists them together with ``run.json`` itself and the times of change, which save reading. Results
of version 0.1.0 have neither: there a file is ours if its content says so, see `older_files`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from s2s_map.outputs import names
from s2s_map.outputs.atomic import replacing_file
from s2s_map.outputs.checksums import FileEntry, file_sha256
from s2s_map.outputs.durable import make_durable
from s2s_map.outputs.older_files import is_our_style, is_ours, is_readable, older_names
from s2s_map.outputs.path import OutputPath
from s2s_map.outputs.sidecars import is_sidecar

type Files = Mapping[str, FileEntry]
"""Entries by relative name."""

SCHEMA = 1


def read_files(content: Any) -> dict[str, FileEntry]:
    """Return the entries that JSON holds by name; what is damaged is left out."""
    found = {}
    for name, entry in content.items() if isinstance(content, dict) else ():
        try:
            found[str(name)] = FileEntry.from_dict(entry)
        except (KeyError, TypeError, ValueError):
            continue
    return found


def recorded_files(results: OutputPath) -> dict[str, FileEntry]:
    """Return what the ``run.json`` of results lists; nothing if it cannot be read."""
    try:
        content = json.loads((results / names.RECORD).read_text(encoding="utf-8"))
        return read_files(content.get("files"))
    except (OSError, ValueError, AttributeError):
        return {}


class Manifest:
    """What lies in a folder and was written by runs.

    Args:
        out: The folder.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        try:
            content = json.loads((out / names.MANIFEST).read_bytes())
            self.files = read_files(content["files"])
        except (OSError, ValueError, KeyError, TypeError):
            # A folder that was copied without what is hidden.
            self.files = recorded_files(out)

    def write(self, files: Files) -> None:
        """Replace what was published, durably."""
        self.files = dict(files)
        content = {
            "schema": SCHEMA,
            "files": {name: entry.as_dict(times=True) for name, entry in files.items()},
        }
        target = self._out / names.MANIFEST
        with replacing_file(target) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            make_durable(partial, partial.parent)
        make_durable(target, self._out)

    @property
    def top(self) -> set[str]:
        """Names directly in the folder of what was published."""
        if not self.files:
            return older_names(self._out)
        return {PurePosixPath(name).parts[0] for name in self.files}

    def knows(self, name: str) -> bool:
        """Return whether a file or folder directly in the output is ours, changed since or not."""
        path = self._out / name
        if name in self.top:
            return True
        # Embeddings and their ledger are there before anything is published.
        return (not self.files or name in names.HOME) and is_ours(path)

    def is_changed(self, name: str) -> bool:
        """Return whether somebody changed a file of ours and what is there can be read.

        What cannot be read is damaged, and worth nothing. Of a folder: whether that holds of a
        file in it, or whether there is one that we did not write.
        """
        path = self._out / name
        if path.is_dir():
            listed = {n for n in self.files if n.startswith(f"{name}/")}
            return bool(listed) and any(
                self._changed(part) if part in listed else not is_sidecar(part)
                for file in path.rglob("*")
                if file.is_file() and (part := file.relative_to(self._out).as_posix())
            )
        if not self.files and path.suffix == ".qml":
            return not is_our_style(path)
        return name in self.files and self._changed(name)

    def _changed(self, name: str) -> bool:
        path, entry = self._out / name, self.files[name]
        stat = path.stat()
        if (stat.st_size, stat.st_mtime_ns) == (entry.size, entry.mtime_ns):
            return False
        if stat.st_size == entry.size and file_sha256(path) == entry.sha256:
            return False
        return bool(stat.st_size) and is_readable(path)
