"""The headers of every answer: nothing is kept, framed, guessed or sent elsewhere.

Source: OWASP Secure Headers Project; Content Security Policy Level 3.
"""

from __future__ import annotations

Headers = list[tuple[str, str]]

JSON: Headers = [("content-type", "application/json")]
HTML: Headers = [("content-type", "text/html; charset=utf-8")]
_OF_DATA = "default-src 'none'; frame-ancestors 'none'"
_OF_PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_ALWAYS: Headers = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
_TLS = ("strict-transport-security", "max-age=63072000; includeSubDomains")


def secured(headers: Headers, *, tls: bool) -> Headers:
    """An answer's headers with those that every answer has."""
    is_page = any(pair == HTML[0] for pair in headers)
    policy = ("content-security-policy", _OF_PAGES if is_page else _OF_DATA)
    return [*headers, policy, *_ALWAYS, *([_TLS] if tls else [])]
