"""A small OpenID provider of the tests' own, on a loopback port: code flow with PKCE.

It keeps the rules that a provider must keep (code once, right client, right redirect, PKCE); a test
that wants a token forged or a document changed says so by ``forge`` and ``said``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import threading
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwk, jwt

CLIENT, SECRET = "baluarte-console", "s3cret of the client"
BASIC = f"{CLIENT}:s3cret%20of%20the%20client"  # RFC 6749, section 2.3.1: both are form-encoded


@cache
def keys() -> dict[str, jwk.Key]:
    """One of each kind, made once."""
    return {
        "rsa-1": jwk.RSAKey.generate_key(2048, parameters={"kid": "rsa-1", "use": "sig"}),
        "ec-1": jwk.ECKey.generate_key("P-256", parameters={"kid": "ec-1", "use": "sig"}),
    }


class Provider:
    """Signs people in without asking them anything."""

    def __init__(self, *, now_s: Callable[[], int], tls: ssl.SSLContext | None = None) -> None:
        self.keys = dict(keys())
        self.kid, self.alg = "ec-1", "ES256"
        self.person: dict[str, Any] = {"sub": "u-1", "preferred_username": "Mia", "groups": ["f"]}
        self.forge: Callable[[dict[str, Any]], str] | None = None
        self.said: dict[str, Any] = {}  # over what the discovery document says
        self.redirect_discovery = False
        self.asked: list[str] = []
        self.spoken: list[dict[str, Any]] = []  # the token endpoint's forms
        self._now_s = now_s
        self._codes: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls is not None else "http"
        self.issuer = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            **self.said,
        }

    def claims(self, nonce: str) -> dict[str, Any]:
        now = self._now_s()
        return {
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce,
            **self.person,
        }  # fmt: skip

    def sign(self, claims: dict[str, Any]) -> str:
        header = {"alg": self.alg, "kid": self.kid}
        return jwt.encode(header, claims, self.keys[self.kid], algorithms=[self.alg])

    def authorize(self, address: str) -> str:
        """What the person's browser is sent back to, as if they had agreed at once."""
        asked = {key: values[0] for key, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def redeem(self, form: dict[str, str], basic: str) -> tuple[int, dict[str, Any]]:
        asked = self._codes.pop(form.get("code", ""), None)  # once
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            asked is None
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != asked["redirect_uri"]
            or challenge != asked["code_challenge"]
            or (
                basic and base64.b64decode(basic).decode() != f"{CLIENT}:s3cret%20of%20the%20client"
            )
        ):
            return 400, {"error": "invalid_grant"}
        claims = self.claims(asked["nonce"])
        token = self.forge(claims) if self.forge is not None else self.sign(claims)
        return 200, {"id_token": token, "access_token": "x", "token_type": "Bearer"}


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            if self.path == "/.well-known/openid-configuration":
                if provider.redirect_discovery:
                    self._send(302, {}, location=f"{provider.issuer}/elsewhere")
                else:
                    self._send(200, provider.document())
            elif self.path.startswith("/authorize?"):  # a browser that comes by itself
                self._send(302, {}, location=provider.authorize(self.path))
            elif self.path == "/keys":
                public = [key.as_dict(private=False) for key in provider.keys.values()]
                self._send(200, {"keys": public})
            else:
                self._send(404, {})

        def do_POST(self) -> None:
            provider.asked.append(self.path)
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {key: values[0] for key, values in parse_qs(body).items()}
            provider.spoken.append(form)
            basic = (self.headers["authorization"] or "").removeprefix("Basic ")
            self._send(*provider.redeem(form, basic))

        def _send(self, status: int, document: dict[str, Any], location: str = "") -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            if location:
                self.send_header("location", location)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    return Handler
