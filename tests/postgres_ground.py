"""A real PostgreSQL server of the tests' own: on a socket and on a free loopback port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

PASSWORD = "of the tests alone"


def initdb() -> str | None:
    """Where PostgreSQL's programs are, if they are."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return shutil.which("initdb") or (str(found[-1]) if found else None)


class PostgresServer:
    """Made, started, stopped and removed by who uses it; over TCP a password is needed."""

    def __init__(self, program: str) -> None:
        self._program = program
        as_root = os.geteuid() == 0  # the server refuses to run as root
        self._as_owner: dict[str, Any] = {"user": "nobody"} if as_root else {}
        self.folder = Path(tempfile.mkdtemp(prefix="baluarte-pg-"))
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if as_root:
            shutil.chown(self.folder, "nobody")
            shutil.chown(secret, "nobody")
        self._home = {**os.environ, "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        subprocess.run(
            [program, "-D", self.folder / "data", "-U", "baluarte", "-E", "UTF8", "--no-sync",
             "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"],
            check=True, capture_output=True, env=self._home, cwd=self.folder, **self._as_owner,
        )  # fmt: skip
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it is ready."""
        self._server = subprocess.Popen(
            [Path(self._program).with_name("postgres"), "-D", self.folder / "data",
             "-k", self.folder, "-F", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self._home, cwd=self.folder,
            **self._as_owner,
        )  # fmt: skip
        said = self.folder / "data" / "postmaster.pid"  # its last line is the server's own state
        for _ in range(600):
            if said.exists() and said.read_text().rstrip().endswith("ready"):
                return
            time.sleep(0.1)
        raise AssertionError("PostgreSQL did not start")

    def stop(self) -> None:
        """Shut down at once, open connections or not."""
        if self._server is not None:
            self._server.send_signal(2)
            self._server.wait(timeout=60)
            self._server = None

    def remove(self) -> None:
        """Stop it and take its files away."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def over_socket(self) -> str:
        """Its address as who is on this machine."""
        return f"postgresql://baluarte@:{self.port}/postgres?host={self.folder}"

    def over_tcp(self, schema: str) -> str:
        """Its address over loopback, which asks for the password."""
        return f"postgresql://baluarte@127.0.0.1:{self.port}/postgres?schema={schema}"
