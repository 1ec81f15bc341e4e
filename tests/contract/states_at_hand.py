"""A Redis server of the tests' own, on a socket in a private folder."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The address of a server that ends with the block; skips where Redis isn't installed."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("redis-server isn't installed")
    address = folder / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(address), "--save", "", "--appendonly",
               "no", "--dir", str(folder), "--daemonize", "no"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(500):
            if address.exists():
                break
            time.sleep(0.02)
        yield f"unix://{address}"
    finally:
        process.terminate()
        process.wait(20)
