"""The ledger of a store in an object store, where nothing can be appended to.

Each finished block has a marker ``blocks/<key>.json``, put after its data. The last run's start,
failures and end are one small object, ``ledger/run.json``. When a run ends, all markers are put
together into ``ledger/blocks.jsonl`` with their e_tags, so that the next reader need not fetch them
one by one: the listing of the markers says which of them it may believe.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from s2s_map.outputs.ledger import (
    BlockFailure,
    BlockRecord,
    Ledger,
    LedgerState,
    RunStart,
    apply_line,
    encoded,
    event_line,
    now,
)
from s2s_map.outputs.ledger_lines import MOST_BYTES, Blocks, parsed, sound_line
from s2s_map.outputs.path import ObjectPath

BLOCKS, LEDGER_FOLDER = "blocks", "ledger"
_AT_A_TIME = 32
_PUT_EVERY_S = 1.0


class ObjectLedger(Ledger):
    """A ledger below a prefix, see the module and `Ledger`.

    Args:
        folder: The prefix.
    """

    def __init__(
        self,
        folder: ObjectPath,
        guard: Callable[[], None] | None = None,
        store: str | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        super().__init__(guard, store, blocks)
        self._markers_path = folder / BLOCKS
        self._run_path = folder / LEDGER_FOLDER / "run.json"
        self._all_path = folder / LEDGER_FOLDER / "blocks.jsonl"
        self._run: dict[str, Any] | None = None
        self._known: dict[str, tuple[str, dict[str, Any]]] = {}
        self._put, self._dirty = 0.0, False

    def state(self) -> LedgerState:
        """Return what it says, see `Ledger`."""
        run = self._run if self._run is not None else self._read_run()
        markers = self._markers()
        state = LedgerState()
        start, end = run.get("start"), run.get("end")
        if start is not None:
            apply_line(state, start)
        for line in markers.values():
            apply_line(state, line)
        current = [
            state.records[key]
            for key, line in markers.items()
            if key in state.records and line.get("run") == run.get("id")
        ]
        # Markers of earlier runs, too, were applied.
        state.finished_now = sum(record.patches for record in current)
        state.encode_s = sum(record.encode_s for record in current)
        state.workers = {record.worker for record in current}
        for line in run.get("failures", {}).values():
            if line["block"] not in state.records:
                apply_line(state, line)
        if end is not None:
            apply_line(state, end)
        times = [line.get("at", 0.0) for line in (*markers.values(), run)]
        state.last = max([state.last, *times])
        return state

    def start(self, run: RunStart) -> None:
        """Note that a run begins."""
        line = self._stamped(event_line("start", run))
        self._run = {"id": uuid.uuid4().hex, "start": line, "failures": {}}
        self._put_run()

    def record(self, record: BlockRecord) -> None:
        """Note a block whose data is durably put."""
        run = self._run or {}
        self._put_marker(record, run.get("id"))
        if run.get("failures", {}).pop(record.block, None) is not None:
            self._dirty = True
        self._put_run_now_and_then()

    def amend(self, record: BlockRecord) -> None:
        """Note more of a block, see `Ledger`."""
        # It stays one of the run that embedded it.
        known = self._markers().get(record.block, {}) if not self._known else {}
        known = known or self._known.get(record.block, ("", {}))[1]
        self._put_marker(record, known.get("run"))

    def _put_marker(self, record: BlockRecord, run: str | None) -> None:
        self._guard()
        line = self._stamped({**event_line("done", record), "run": run})
        tag = (self._markers_path / f"{record.block}.json").write_bytes(encoded(line))
        self._known[record.block] = (tag, line)

    def fail(self, failure: BlockFailure) -> None:
        """Note a block that failed."""
        if self._run is None:
            self._run = self._read_run()
        self._run.setdefault("failures", {})[failure.block] = event_line("failed", failure)
        self._dirty = True
        self._put_run_now_and_then()

    def end(self, how: str) -> None:
        """Note how the run ended, and put all markers together."""
        if self._run is None:
            self._run = self._read_run()
        self._run["end"] = {"event": "end", "how": how, "at": now()}
        self._put_run()
        lines = [{**line, "e_tag": tag} for tag, line in self._known.values()]
        self._guard()
        self._all_path.write_bytes(b"".join(encoded(line) + b"\n" for line in lines))

    def drop(self, blocks: Iterable[str]) -> None:
        """Forget finished blocks."""
        for block in blocks:
            self._guard()
            (self._markers_path / f"{block}.json").unlink(missing_ok=True)
            self._known.pop(block, None)

    def close(self) -> None:
        """Put what is not put yet."""
        if self._dirty:
            self._put_run()

    def _put_run_now_and_then(self) -> None:
        if self._dirty and time.monotonic() - self._put > _PUT_EVERY_S:
            self._put_run()

    def _put_run(self) -> None:
        self._guard()
        run = self._stamped({**(self._run or {}), "at": now()})
        self._run_path.write_bytes(encoded(run))
        self._put, self._dirty = time.monotonic(), False

    def _read_run(self) -> dict[str, Any]:
        """Return what the last run said; parts that no run wrote so are left out."""
        try:
            run = parsed(self._run_path.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        if not isinstance(run, dict) or not self._is_ours(run):
            return {}
        failures = run.get("failures")
        given = failures.items() if isinstance(failures, dict) else ()
        failed = {key: self._sound(line, "failed", key) for key, line in given}
        found: dict[str, Any] = {
            "id": run.get("id"),
            "failures": {key: line for key, line in failed.items() if line is not None},
        }
        for part in ("start", "end"):
            line = self._sound(run.get(part), part)
            if line is not None:
                found[part] = line
        at = run.get("at")
        return {**found, "at": at} if isinstance(at, float | int) else found

    def _sound(self, line: object, event: str, block: str | None = None) -> dict[str, Any] | None:
        found = sound_line(line, self._blocks)
        if found is None or found["event"] != event or found.get("block") != block:
            return None
        return found

    def _markers(self) -> dict[str, dict[str, Any]]:
        tags = {
            path.name.removesuffix(".json"): (path, info.e_tag)
            for path, info in self._markers_path.files().items()
            if info.size <= MOST_BYTES
        }
        if tags and not self._known:
            self._known = self._together()
        unknown = [
            (key, path)
            for key, (path, tag) in tags.items()
            if self._known.get(key, ("",))[0] != tag
        ]
        with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="markers") as pool:
            for key, found in pool.map(self._fetched, unknown):
                if found is None:
                    self._known.pop(key, None)
                else:
                    self._known[key] = found
        self._known = {key: known for key, known in self._known.items() if key in tags}
        return {key: line for key, (_, line) in self._known.items() if self._is_ours(line)}

    def _together(self) -> dict[str, tuple[str, dict[str, Any]]]:
        try:
            raw = self._all_path.read_bytes()
        except FileNotFoundError:
            return {}
        known = {}
        for text in raw.splitlines():
            try:
                line = sound_line(parsed(text), self._blocks)
            except ValueError:
                continue  # Its marker is fetched.
            if line is not None and line["event"] == "done":
                known[line["block"]] = (str(line.pop("e_tag", "")), line)
        return known

    def _fetched(
        self, item: tuple[str, ObjectPath]
    ) -> tuple[str, tuple[str, dict[str, Any]] | None]:
        key, path = item
        try:
            raw, info = path.read_tagged()
            line = self._sound(parsed(raw), "done", key)
        except (FileNotFoundError, ValueError):
            return key, None
        return key, None if line is None else (info.e_tag, line)
