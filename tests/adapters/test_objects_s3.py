"""baluarte.adapters.objects: the same sources and sinks on S3, spoken to a server over HTTP."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs

from baluarte import wiring
from baluarte.apps.cli.main import main
from baluarte.core.event import concat, records
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError, OutsideError

SCHEMA = Schema(fields=(Field(name="a", type="number"), Field(name="b", type="category")))
BATCHES = [{"a": [1.0, 2.0], "b": ["x", "y"]}, {"a": [3.5], "b": [None]}]
WAIT_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server that runs in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + WAIT_S
        while process.poll() is None and time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{address}/moto-api/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        assert process.poll() is None, "the server did not start"
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty bucket; the store's own library is told where it is, as always."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.mkdir("events")
    yield "s3://events"
    system.rm("events", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet", "arrow"])
def test_what_is_written_to_s3_is_read_from_it(form: str, bucket: str) -> None:
    address = f"{bucket}/2026/t.{form}"
    assert wiring.sink_for(address).write(address, iter(BATCHES)) == 3
    source = wiring.source_for(address)
    found = records(concat(list(source.read(address, SCHEMA, batch_rows=2))))
    assert found == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3.5}]
    stored = s3fs.S3FileSystem().cat_file(address)
    assert source.digest(address) == f"sha256:{hashlib.sha256(stored).hexdigest()}"
    assert {c.name for c in source.profile(address, max_rows=9)} == {"a", "b"}


def test_a_packed_object_is_read_in_the_order_of_its_rows(bucket: str) -> None:
    rows = b"".join(
        b"%d.25,%s\n" % (i, hashlib.sha256(b"%d" % i).hexdigest().encode()) for i in range(50_000)
    )
    s3fs.S3FileSystem().pipe_file("events/t.csv.gz", gzip.compress(b"a,b\n" + rows))
    source = wiring.source_for(f"{bucket}/t.csv.gz")
    n = 0
    for events in source.read(f"{bucket}/t.csv.gz", SCHEMA, batch_rows=20_000):
        assert events.columns["a"].tolist() == [i + 0.25 for i in range(n, n + events.n)]
        n += events.n
    assert n == 50_000


def test_what_fails_puts_nothing_and_leaves_what_was_there(bucket: str) -> None:
    def broken() -> Iterator[dict[str, list[object]]]:
        yield {"a": [9.0], "b": ["z"]}
        raise DataError("no more")

    address = f"{bucket}/t.csv"
    system = s3fs.S3FileSystem()
    with pytest.raises(DataError, match="no more"):
        wiring.sink_for(address).write(address, broken())
    assert not system.exists(address)
    wiring.sink_for(address).write(address, iter(BATCHES))
    before = system.cat_file(address)
    with pytest.raises(DataError, match="no more"):
        wiring.sink_for(address).write(address, broken())
    s3fs.S3FileSystem.clear_instance_cache()
    assert s3fs.S3FileSystem().cat_file(address) == before


@pytest.mark.parametrize("name", ["events/none.csv", "no-such-bucket/t.csv"])
def test_an_object_that_is_not_there_is_the_datas_fault(name: str, bucket: str) -> None:
    address = f"s3://{name}"
    with pytest.raises(DataError, match="expected a file, found none"):
        list(wiring.source_for(address).read(address, SCHEMA, batch_rows=9))


def test_a_store_that_does_not_answer_is_the_operators(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    address = f"{bucket}/t.csv"
    with pytest.raises(OutsideError, match="the object store refused") as caught:
        list(wiring.source_for(address).read(address, SCHEMA, batch_rows=9))
    assert caught.value.retryable


def test_a_detector_is_begun_from_an_object(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"t{i},{i / 7},{i % 5},{int(i % 20 == 0)}\n" for i in range(500)]
    s3fs.S3FileSystem().pipe_file("events/tx.csv", ("id,x,y,fraud\n" + "".join(lines)).encode())
    assert main(["init", "mine", "--events", f"{bucket}/tx.csv"]) == 0
    assert f'events = "{bucket}/tx.csv"' in (tmp_path / "workspace.toml").read_text()
    assert main(["data", f"{bucket}/tx.csv"]) == 0
