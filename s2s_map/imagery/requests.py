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
        kept: How many are kept between reads, roughly.
    """

    count: int
    per_day: int
    what: str
    kept: int | None = None

    @property
    def days(self) -> float:
        """Days that they take at least."""
        return self.count / self.per_day

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to say where they take more than a day, or are more than are kept."""
        said = []
        if self.count > self.per_day:
            said.append(
                f"{self.count:,} {self.what} are to be fetched, and the source allows "
                f"{self.per_day:,} a day (manners: in its catalog entry): {self.days:,.1f} days at "
                "least; take a smaller region or a coarser source, or ask the provider"
            )
        if self.kept is not None and self.count > self.kept:
            said.append(
                f"{self.count:,} {self.what} are more than about {self.kept:,} that the source's "
                "cache holds (cache: max_gb in its catalog entry): the picture of the imagery, "
                "made at the end, fetches up to as many again"
            )
        return tuple(said)
