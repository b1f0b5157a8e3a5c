"""How a run ended, noted in its ledger: one way for all that may end it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from s2s_map.errors import InterruptedRunError, S2SMapError
from s2s_map.outputs.ledger import Ledger


@contextmanager
def noted_end(ledger: Ledger, how: Callable[[], str], far: Callable[[], str]) -> Iterator[None]:
    """Note in a ledger how what happens within ends.

    Args:
        ledger: The ledger.
        how: Asked what a good end is called, see `LedgerState.ended`.
        far: Asked how far it came, for people, if it is stopped.

    Raises:
        InterruptedRunError: Instead of KeyboardInterrupt.
        OutputError: If a good end cannot be noted.
    """
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | InterruptedRunError)
        # The end of a run that may write no longer is not noted, nor is that worth more than why.
        with suppress(S2SMapError):
            ledger.end("stopped" if stopped else "failed")
        if isinstance(error, KeyboardInterrupt):
            raise InterruptedRunError(
                f"stopped {far()}", remedy="start the same run again to go on where it stopped"
            ) from None
        raise
    ledger.end(how())
