"""TLS to others: 1.3 and nothing below, with a certificate that is verified for the host's name."""

from __future__ import annotations

import ssl

from baluarte.errors import ContractError

LEAST = ssl.TLSVersion.TLSv1_3


def outward_tls(ca: str | None = None, *, where: str = "") -> ssl.SSLContext:
    """What every connection outward is made with.

    Args:
        ca: file of the authorities that are believed instead of the system's.
        where: what named that file, for the error.

    Raises:
        ContractError: the file holds no certificates.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ContractError(f"expected a file of certificates: {error}", where=where) from None
    context.minimum_version = LEAST
    return context
