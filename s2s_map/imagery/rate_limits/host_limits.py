"""How often and how patiently a server is asked: schedules and states, without clock or network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from s2s_map.config.webtiles import MannersConfig

HELD_BYTES = 256_000_000
"""What a process holds of web tiles in memory, whatever may be kept on disk."""


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for; None if it says nothing.

    Args:
        value: Seconds, or an HTTP date (RFC 9110, section 10.2.3).
        now: The time, with a zone.
    """
    if value is None:
        return None
    if value.isascii() and value.strip().isdigit():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


def wait_s(attempt: int, asked: float | None, chance: float, manners: MannersConfig) -> float:
    """Return how long to wait before the next attempt, seconds.

    Twice as long each time, of which half is up to chance, so that many waiting do not come back
    at once. What the server asks for is the least, up to the longest wait.

    Args:
        attempt: Attempts made, from 1.
        asked: Seconds that the server asked for.
        chance: From 0 to 1.
        manners: First and longest wait.
    """
    longest = min(manners.longest_wait_s, manners.first_wait_s * 2.0 ** (attempt - 1))
    backoff = longest * (0.5 + 0.5 * chance)
    # A little later than asked for: the server's clock is not ours.
    return min(manners.longest_wait_s, max(backoff, (asked or 0.0) * 1.01))


def reserve(
    free_at: float, now: float, per_second: float, burst: float = 1.0
) -> tuple[float, float]:
    """Reserve the next turn of a bucket that refills steadily (GCRA, as of ATM Forum TM 4.0).

    Args:
        free_at: When the bucket is full again, as of the last turn.
        now: The time, seconds.
        per_second: Turns a second.
        burst: Turns that may be taken at once from a full bucket.

    Returns:
        When it is full again after this turn, and how long to wait for the turn, seconds.
    """
    interval = 1.0 / per_second
    after = max(free_at, now) + interval
    return after, max(0.0, after - now - burst * interval)


@dataclass(frozen=True)
class Breaker:
    """Whether a server is asked at all: closed, resting, or given up.

    After failures in a row the server rests; then one request tries it. Each rest is twice as
    long as the one before. After the last one every request fails at once, but for one try per
    rest.

    Attributes:
        failures: Failures in a row.
        rests: Rests in a row.
        closed_until: When the rest ends; None while requests pass freely.
        trying: Whether a request is out to try.
        reason: Why the last one failed.
    """

    failures: int = 0
    rests: int = 0
    closed_until: float | None = None
    trying: bool = False
    reason: str = ""

    def wait(self, now: float) -> float | None:
        """Return seconds until a request may pass: 0 now, None while another one tries."""
        if self.closed_until is None:
            return 0.0
        if now < self.closed_until:
            return self.closed_until - now
        return None if self.trying else 0.0

    def given_up(self, manners: MannersConfig) -> bool:
        """Return whether waiting is over."""
        return self.rests > manners.breaker_rests

    def asked(self) -> Breaker:
        """Return the state after letting a request pass."""
        return self if self.closed_until is None else replace(self, trying=True)

    def succeeded(self) -> Breaker:
        """Return the state after an answer."""
        return Breaker()

    def abandoned(self, token: float | None) -> Breaker:
        """Return the state after a request that was not sent.

        Args:
            token: `closed_until` as it was when the request was let pass.
        """
        return replace(self, trying=False) if self._is_try(token) else self

    def failed(
        self,
        now: float,
        manners: MannersConfig,
        reason: str,
        for_good: bool = False,
        token: float | None = None,
    ) -> Breaker:
        """Return the state after no answer, or one that tells of trouble.

        Args:
            now: The time, seconds.
            manners: Failures before a rest, and the rests.
            reason: Why.
            for_good: Whether waiting will not help, as with a wrong key: no rests are tried.
            token: `closed_until` as it was when the request was let pass: only the one that tries
                ends or prolongs a rest.
        """
        failures = self.failures + 1
        if self.closed_until is not None and not self._is_try(token):
            return replace(self, failures=failures, reason=reason)  # Asked before the rest began.
        if self.closed_until is None and failures < manners.breaker_failures:
            return replace(self, failures=failures, reason=reason)
        rests = manners.breaker_rests if for_good else self.rests
        rest = manners.breaker_rest_s * 2.0 ** min(rests, manners.breaker_rests)
        return Breaker(failures, rests + 1, now + rest, reason=reason)

    def _is_try(self, token: float | None) -> bool:
        return self.trying and token is not None and token == self.closed_until
