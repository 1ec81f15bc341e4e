"""A certificate of likeness in words."""

from __future__ import annotations

from baluarte.apps.catalogue import Texts
from baluarte.core.certificate import Certificate


def likeness(texts: Texts, certificate: Certificate) -> str:
    """The certificate in a sentence."""
    key = f"adopt.reference_{certificate.reference}"
    reference = texts.get(key, library=certificate.library, version=certificate.version)
    return texts.get(
        "adopt.certificate",
        reference=reference,
        n=certificate.n,
        difference=f"{certificate.largest_difference:.2g}",
        changed=certificate.n_changed,
    )


def doubts(texts: Texts, certificate: Certificate) -> list[str]:
    """What the certificate doesn't say by itself."""
    said = []
    if certificate.reference == "reader" and not certificate.library:
        said.append(texts.get("adopt.no_library"))
    if certificate.single_difference is not None:
        said.append(
            texts.get(
                "adopt.single",
                library=certificate.library,
                version=certificate.version,
                difference=f"{certificate.single_difference:.2g}",
                changed=certificate.single_changed or 0,
            )
        )
    return said
