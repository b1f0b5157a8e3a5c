"""Recordings that the page sends: checked at once, kept by content, asked with by id."""

from __future__ import annotations

import hashlib
from pathlib import Path

from s2s_map.config.cache_folder import cache_folder
from s2s_map.encoding.queries import safe_name
from s2s_map.errors import AudioError, QueryError

MOST_BYTES = 50_000_000
_ID_LENGTH = 16


class Recordings:
    """The recordings sent so far, in files of the user's cache.

    Nothing of a request is a path: the folder is named by the content's hash, the file by letters
    and digits of its name alone. They stay there, so that a layer that was kept can be asked anew.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder("recordings")
        self._known: dict[str, Path] = {}

    def take(self, content: bytes, name: str) -> dict[str, object]:
        """Check and keep a recording.

        Args:
            content: The bytes of a file.
            name: What it is called; only shown, and made into letters and digits.

        Returns:
            Its id, name and length in seconds, for the page.

        Raises:
            AudioError: If it is too large or no recording that can be asked with.
        """
        if len(content) > MOST_BYTES:
            raise AudioError(
                f"a recording of {len(content) / 1e6:.0f} MB",
                expected=f"at most {MOST_BYTES // 1_000_000} MB",
                remedy="cut it, or ask with s2s-map query --audio",
            )
        from s2s_map.encoding.audio_file import decode_recording

        stem = safe_name(Path(name).stem) or "recording"
        heard = decode_recording(content, stem)
        key = hashlib.sha256(content).hexdigest()[:_ID_LENGTH]
        path = self._folder / key / stem
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            partial.write_bytes(content)
            partial.replace(path)
        self._known[key] = path
        return {"id": key, "name": stem, "seconds": round(heard.seconds, 2)}

    def path(self, key: str) -> str:
        """Return where a recording lies.

        Raises:
            QueryError: If none of this id was sent.
        """
        if key not in self._known:
            raise QueryError(f"no recording {key[:16]!r} was sent", remedy="drop it in again")
        return str(self._known[key])
