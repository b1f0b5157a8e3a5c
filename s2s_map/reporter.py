"""What a run tells whoever watches it; the default watcher is silent."""

from __future__ import annotations


class Reporter:
    """Receives the stages of a run; this one keeps silent. Called from several threads."""

    def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
        """A stage begins: `total` units of work, `done` of them found finished."""

    def advance(self, count: int) -> None:
        """Some units of the current stage are done."""

    def finish(self) -> None:
        """The current stage is over."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def block_done(self, block: str, counts: dict[str, int], seconds: float) -> None:
        """A block is embedded and recorded; `counts` are its patches, valid cells and holes."""

    def block_failed(self, block: str, reason: str, final: bool) -> None:
        """A block failed; unless that is final it is tried again in the end."""
