"""How many requests a run makes of a server, for the plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Requests:
    """Requests of a run.

    Attributes:
        count: How many, each piece of imagery once.
        per_day: How many a day may be made, by the source's rate and daily limits.
        what: What is asked for.
    """

    count: int
    per_day: int
    what: str

    @property
    def days(self) -> float:
        """Days that they take at least."""
        return self.count / self.per_day

    @property
    def warning(self) -> str | None:
        """What to say where they take more than a day; None where they do not."""
        if self.count <= self.per_day:
            return None
        return (
            f"{self.count:,} {self.what} are to be fetched, and the source allows "
            f"{self.per_day:,} a day (manners: in its catalog entry): {self.days:,.1f} days at "
            "least; take a smaller region or a coarser source, or ask the provider"
        )
