"""Certificates for a cluster over TLS, which Dask's settings name."""

from __future__ import annotations

from s2s_map.errors import ClusterError

_NAMED = (
    "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...__CLIENT__CERT and ...__CLIENT__KEY name PEM files"
)


def check_certificates(address: str) -> None:
    """Check that this process has certificates for an address, if it needs any.

    Args:
        address: Of a scheduler.

    Raises:
        ClusterError: If they are not named, or cannot be read.
    """
    if not address.startswith("tls://"):
        return
    from distributed import Security

    try:
        context = Security().get_connection_args("client").get("ssl_context")
    except OSError as error:  # Of ssl, too.
        reason = error.strerror or str(error) or type(error).__name__
        raise ClusterError(
            f"a certificate for {address} cannot be used: {reason}", remedy=f"check that {_NAMED}"
        ) from None
    if context is None:
        raise ClusterError(
            f"{address}, but no certificates for it are named", remedy=f"let {_NAMED}"
        )
