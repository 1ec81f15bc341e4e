"""baluarte.adapters.sealing: no nonce is used twice, in no thread and no process."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from baluarte.adapters.sealing import NONCE_BYTES, SealingKey

KEY = SealingKey("0f" * 16, b"k" * 32)


def nonces(n: int) -> list[bytes]:
    return [KEY.seal(b"value", b"context")[:NONCE_BYTES] for _ in range(n)]


def test_threads_that_seal_at_once_share_no_nonce() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = [nonce for part in pool.map(nonces, [2_000] * 8) for nonce in part]
    assert len(set(found)) == len(found) == 16_000


def test_a_process_that_is_forked_draws_its_own() -> None:
    nonces(1)  # some are left that were drawn ahead
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, b"".join(nonces(300)))
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    theirs = {told[at : at + NONCE_BYTES] for at in range(0, len(told), NONCE_BYTES)}
    assert len(theirs) == 300
    assert theirs.isdisjoint(nonces(300))
