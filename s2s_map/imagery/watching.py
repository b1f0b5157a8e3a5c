"""Receives how far a search is."""

from __future__ import annotations

from typing import Protocol


class Watch(Protocol):
    """Receives how far a search is; parts are its units."""

    def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
        """It begins."""

    def advance(self, count: int) -> None:
        """Some parts are done."""

    def finish(self) -> None:
        """It is over."""
