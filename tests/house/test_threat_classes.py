"""One regression test a class of hole that others of this kind had; threats.toml lists them."""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import ssl
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte import wiring
from baluarte.adapters.disk import open_existing, open_new, open_or_new
from baluarte.adapters.outward import outward_tls
from baluarte.adapters.stores.folder import FolderBundles
from baluarte.core.accounts import check_name, parse_grant
from baluarte.core.bundle import open_bundle
from baluarte.core.contract_surface import Name
from baluarte.core.ids import parse_id
from baluarte.core.schema import Field, Schema
from baluarte.core.workspace import parse_workspace
from baluarte.errors import BaluarteError, ContractError, DataError, TrustError
from baluarte.stages.seal import seal
from baluarte.testing.bundles import sample_events, sample_parts
from baluarte.testing.clock import FixedClock
from baluarte.testing.signers import MemorySigner, MemoryVerifier
from baluarte.testing.stores import MemoryBundles, MemoryLedger, MemoryRegistry

SOURCE = Path(__file__).parents[2] / "src" / "baluarte"
sys.path.insert(0, str(Path(__file__).parents[1] / "apps"))

_heard: list[str] | None = None


def _listen(event: str, args: tuple[object, ...]) -> None:
    if _heard is not None and event.startswith(("pickle.", "socket.", "subprocess.", "os.system")):
        _heard.append(f"{event} {args!r}")


sys.addaudithook(_listen)


@contextmanager
def heard() -> Iterator[list[str]]:
    """What this process did meanwhile that reaches out or runs something."""
    global _heard  # noqa: PLW0603 - an audit hook can't be taken away
    _heard = found = []
    try:
        yield found
    finally:
        _heard = None


@cache
def modules() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text("utf-8"))) for path in sorted(SOURCE.rglob("*.py"))]


@cache
def imported(tree: ast.Module) -> frozenset[str]:
    """Whole names of the modules that one imports, wherever it does."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


# --- 1, 3: code in files --------------------------------------------------------------------------


def test_a_polyglot_of_pickle_and_bundle_is_refused(tmp_path: Path) -> None:
    signer, bundles, registry = MemorySigner(), MemoryBundles(), MemoryRegistry()
    verifier, clock = MemoryVerifier(signer.key), FixedClock()
    version = seal(
        sample_parts(), actor="ada", signer=signer, verifier=verifier, bundles=bundles,
        registry=registry, ledger=MemoryLedger().open_shard(), clock=clock,
    )  # fmt: skip
    files = bundles.get(version.digest)
    trap = tmp_path / "ran"
    pickles = (
        f"cposix\nsystem\n(S'touch {trap}'\ntR.".encode(),
        b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93",
        b"PK\x03\x04data.pkl",
    )
    with heard() as did:
        for name, data in files.items():
            for pickle in pickles:
                for changed in (pickle, pickle + data, data + pickle):
                    with pytest.raises(TrustError):
                        open_bundle(
                            {**files, name: changed}, verifier, at_us=clock.now_us(),
                            expect_digest=version.digest,
                        )  # fmt: skip
        with pytest.raises(TrustError):
            open_bundle(
                {**files, "extra.pkl": pickles[0]}, verifier, at_us=clock.now_us(),
                expect_digest=version.digest,
            )  # fmt: skip
    assert did == []
    assert not trap.exists()


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("model.pkl", b"\x80\x04\x95"), ("model.joblib", b"\x80\x04\x95"), ("model.bin", b"cposix"),
        ("model.h5", b"\x89HDF\r\n\x1a\n"), ("model.keras", b"PK\x03\x04"),
        ("model.pt", b"PK\x03\x04"), ("model.pth", b"\x80\x02"), ("model.npy", b"\x93NUMPY"),
        ("model.py", b"import os"), ("model.so", b"\x7fELF"), ("model.zip", b"PK\x03\x04"),
        ("saved_model.pb", b"\x08\x01\x12"), ("model.dill", b"\x80\x04"), ("MODEL.PKL", b"\x80"),
    ],
)  # fmt: skip
def test_no_format_that_carries_code_is_recognised(name: str, head: bytes, tmp_path: Path) -> None:
    with heard() as did:
        assert wiring.reader_for(name, head) is None
        with pytest.raises(ContractError):
            wiring.source_for(str(tmp_path / name))
        with pytest.raises(ContractError):
            wiring.sink_for(str(tmp_path / name))
    assert did == []


# --- 4, 5, 21: paths ------------------------------------------------------------------------------

OUT = ("../x", "..", "/etc/passwd", "a/b", "a\\b", "..\\x", "%2e%2e", "a\0b", "a\nb", "", ".", "~",
       "\u2025/x", "\uff0e\uff0e", "C:x", "a" * 300)  # fmt: skip


def test_no_spelling_of_a_path_leads_out_of_a_store(tmp_path: Path) -> None:
    secret = tmp_path / "x"
    secret.write_text("secret")
    store = FolderBundles(tmp_path / "bundles")
    reader = wiring.open_ledger_reader(tmp_path / "ledger")
    for name in OUT:
        tried: list[Callable[[], object]] = [
            lambda name=name: store.get(f"sha256:{name}"),
            lambda name=name: store.put({"a.json": b"x"}, f"sha256:{name}"),
            lambda name=name: store.put({name: b"x"}, "sha256:" + "ab" * 32),
            lambda name=name: reader.record(name, 0),
            lambda name=name: parse_id(name),
        ]
        for act in tried:
            with pytest.raises((BaluarteError, ValueError)):
                act()
    assert sorted(path.name for path in tmp_path.iterdir()) in (["x"], ["bundles", "x"])
    assert secret.read_text() == "secret"


SCHEMA = Schema(fields=(Field(name="amount", type="number"),))


def test_a_fragment_or_a_query_makes_no_other_file_of_an_address(tmp_path: Path) -> None:
    (tmp_path / "within").mkdir()
    (tmp_path / "events.csv").write_text("amount\n1\n")
    (tmp_path / "within" / "events.csv").write_text("amount\n2\n")
    for tail in ("#../events.csv", "?path=../events.csv", "#/../../events.csv", "%23../events.csv",
                 ";../events.csv", "#", "?", "#events.csv"):  # fmt: skip
        address = str(tmp_path / "within" / f"events.csv{tail}")
        with heard() as did, pytest.raises((ContractError, DataError)):
            list(wiring.source_for(address).read(address, SCHEMA, batch_rows=10))
        assert did == []
    for address in ("sqlite:x.db?table=a;drop", "sqlite:x.db#?table=t",
                    "sqlite:x.db?query=../q.sql#", "postgresql://h/d?table=t&x=1#y"):  # fmt: skip
        with pytest.raises(BaluarteError):
            list(wiring.source_for(address).read(address, SCHEMA, batch_rows=10))


def test_no_name_of_anything_can_be_a_path() -> None:
    for name in OUT:
        with pytest.raises(DataError):
            check_name(name)
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(name, Name)
        with pytest.raises(DataError):
            parse_grant(f"viewer@{name or '/'}")
        text = (
            f"[console.providers.{json.dumps(name)}]\nissuer = 'https://x.example'\nclient_id = 'x'"
        )
        with pytest.raises(ContractError):
            parse_workspace(text, where="workspace.toml")
        tenant = f"[tenants.{json.dumps(name)}]\n"
        with pytest.raises(ContractError):
            parse_workspace(tenant, where="workspace.toml")


@given(st.text(min_size=1, max_size=80))
def test_whatever_is_a_name_is_one_step_of_a_path(name: str) -> None:
    try:
        check_name(name)
    except DataError:
        return
    assert Path(name).name == name
    assert not {*name} & {*"/\\\0%:~"}


# --- 6, 7: requests to elsewhere ------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["http://169.254.169.254/latest/meta-data/events.csv", "https://evil.example/events.parquet",
     "http://[::ffff:169.254.169.254]/events.csv", "ftp://evil.example/events.csv",
     "http+unix://%2fvar%2frun%2fdocker.sock/events.csv", "gopher://127.0.0.1/events.ndjson",
     "//evil.example/events.csv", "file://evil.example/events.csv", "data:text/csv,events.csv",
     "github://org:repo@/events.csv", "ssh://evil.example/events.csv", "dask://x/events.csv",
     "memory://a::http://evil.example/events.csv", "simplecache::http://evil.example/events.csv"],
)  # fmt: skip
def test_no_address_of_events_makes_a_request_over_http(address: str) -> None:
    with heard() as did, pytest.raises((ContractError, DataError)):
        list(wiring.source_for(address).read(address, SCHEMA, batch_rows=10))
    assert did == []


#: who may open connections, and to whom
CONNECTS = {
    "adapters/oidc.py": "the providers of the workspace",
    "adapters/outward.py": "nobody: it says how others are spoken to",
    "adapters/postgres.py": "the databases of the workspace",
    "adapters/states/redis.py": "the Redis of the workspace",
    "adapters/objects.py": "the object stores of the workspace",
    "apps/cli/doctor_server.py": "nobody: it looks whether the server's own port is free",
    "apps/cosigning.py": "the witnesses of the workspace",
    "apps/demo/events.py": "where the demo's data set is published, if it isn't here",
    "apps/demo/traffic.py": "the demo's own server",
    "apps/http/listener.py": "nobody: it takes connections",
    "apps/http/process.py": "nobody: it listens",
    "apps/http/supervisor.py": "nobody: it passes on the socket that listens",
    "apps/scoring/grpc_door.py": "nobody: it listens",
    "apps/scoring/presence.py": "nobody: it asks for this machine's name",
    "apps/scoring/telemetry.py": "the collector of the workspace, on loopback",
    "apps/scoring/server.py": "its own port, to see that it answers",
    "apps/witness_server.py": "nobody: it listens",
}
_NETWORK = re.compile(
    r"(socket|ssl|http\.client|http\.server|urllib\.request|urllib3|requests|httpx|aiohttp|smtplib"
    r"|ftplib|telnetlib|xmlrpc|redis|pg8000|fsspec|grpc|websockets|asyncio\.streams)"
    r"(\..*)?"
)


def test_only_listed_files_open_connections() -> None:
    found = {
        str(path.relative_to(SOURCE))
        for path, tree in modules()
        if any(_NETWORK.fullmatch(name) for name in imported(tree))
    }
    assert found - set(CONNECTS) == set(), "say in CONNECTS whom it connects to, and why it may"


def test_whoever_speaks_tls_outward_takes_it_from_one_place() -> None:
    inward = {"adapters/outward.py", "apps/http/process.py", "apps/cli/doctor_server.py"}
    makers = {"create_default_context", "SSLContext", "_create_unverified_context"}
    for path, tree in modules():
        name = str(path.relative_to(SOURCE))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in ("CERT_NONE", "check_hostname"):
                raise AssertionError(f"{path}:{node.lineno} believes any certificate")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                made = node.func.attr in makers
                assert not made or name in inward, f"{path}:{node.lineno}: adapters/outward.py"
                given = {word.arg for word in node.keywords}
                if node.func.attr in ("HTTPSConnection", "urlopen"):
                    assert "context" in given, f"{path}:{node.lineno}"
    assert outward_tls().minimum_version is ssl.TLSVersion.TLSv1_3
    assert outward_tls().verify_mode is ssl.CERT_REQUIRED


class Trap:
    """Counts who connects to it."""

    def __init__(self) -> None:
        self.calls = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            self.calls += 1
            one.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def test_no_request_to_either_plane_makes_it_connect_anywhere(tmp_path: Path) -> None:
    from console_ground import ConsoleServer
    from scoring_ground import Server, Workplace, on_the_wire
    from test_console_wire import furnished, say, signed_in

    trap = Trap()
    url = trap.url
    heads = {"referer": url, "x_forwarded_host": url, "x_forwarded_for": url, "forwarded": url,
             "x_original_url": url, "x_callback_url": url}  # fmt: skip
    sent = {name.replace("_", "-"): value for name, value in heads.items()}
    (tmp_path / "data").mkdir()
    place = Workplace(tmp_path / "data")
    place.promote(place.seal(sample_parts()))
    with Server(place) as data:
        event = on_the_wire(sample_events(1)[0]) | {"id": url, "service": url}
        assert data.decide(event)[0] == 200
        asked = [
            ("POST", f"/v1/detectors/flows/decisions?callback={url}", event),
            ("POST", "/v1/detectors/flows/decisions", {**event, "webhook": url}),
            ("POST", "/v1/detectors/flows/labels", [{"event_id": url, "label": 1, "source": url}]),
            ("GET", f"/v1/decisions/{url}", None), ("GET", f"/v1/detectors/{url}", None),
            ("POST", "/v2/models/flows/infer", {"inputs": [{"name": url, "shape": [1],
                                                            "datatype": "BYTES", "data": [url]}]}),
            ("GET", url, None),
        ]  # fmt: skip
        for method, path, body in asked:
            said = None if body is None else json.dumps(body).encode()
            assert data.ask(method, path, said, sent)[0] < 500
    (tmp_path / "console").mkdir()
    with ConsoleServer(furnished(tmp_path / "console")) as console:
        session = signed_in(console)
        for method, path, body in (
            ("POST", "/v1/sign-in", {"name": url[:60], "password": url}),
            ("POST", "/v1/accounts", {"name": "x", "kind": "person", "grants": [],
                                      "subject": f"{url}#1"}),
            ("POST", "/v1/detectors/flows/versions/1/decline", {"reason": url}),
            ("GET", f"/v1/providers/idp/start?issuer={url}", None),
            ("GET", f"/v1/providers/idp/callback?iss={url}&code=x&state=y", None),
            ("GET", f"/v1/accounts?after={url}", None),
        ):  # fmt: skip
            assert say(console, method, path, body, **session, **heads)[0] < 500
        with socket.create_connection(("127.0.0.1", console.port), timeout=10) as one:
            one.sendall(f"GET {url} HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\n\r\n".encode())
            assert one.recv(64).startswith(b"HTTP/1.1 4")
    trap.close()
    assert trap.calls == 0


# --- 22, 23: the machine --------------------------------------------------------------------------


def test_temporary_files_are_made_in_folders_of_their_own() -> None:
    fine = {"TemporaryDirectory", "TemporaryFile"}  # 0700 by mkdtemp; without a name at all
    for path, tree in modules():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "tempfile"
            ):
                assert node.attr in fine, f"{path}:{node.lineno}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith(("/tmp", "/var/tmp", "/dev/shm")), path
        assert not {"tempfile.mktemp", "tempfile.mkstemp"} & imported(tree)


def test_a_file_that_is_made_follows_no_link_and_is_its_owners_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("theirs")
    link = tmp_path / "link"
    link.symlink_to(target)
    for opens in (open_new, open_or_new, open_existing):
        with pytest.raises(OSError, match=r"exists|symbolic"):
            opens(link)
    with pytest.raises(FileExistsError):
        open_new(target)
    descriptor = open_new(tmp_path / "own")
    os.close(descriptor)
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o600
    assert target.read_text() == "theirs"


#: who starts programs, and how the list of words begins
STARTS = {
    "adapters/unpickle.py": "sys.executable",  # its own confined child
    "apps/demo/stage_set.py": "*words",  # its own command line, by sys.executable
}


def test_no_shell_is_ever_called_and_no_program_gets_a_users_word() -> None:
    shells = {"system", "popen", "execv", "execve", "execl", "execlp", "execvp", "spawnv", "spawnl",
              "posix_spawn", "getoutput", "getstatusoutput", "create_subprocess_shell"}  # fmt: skip
    for path, tree in modules():
        name = str(path.relative_to(SOURCE))
        names = imported(tree)
        assert name in STARTS or not {"subprocess", "pty"} & names, name
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            assert called not in shells, f"{path}:{node.lineno}"
            if called in ("run", "Popen", "call", "check_call", "check_output") and (
                isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "subprocess"
            ):
                assert not [k for k in node.keywords if k.arg == "shell"], f"{path}:{node.lineno}"
                (words, *_) = node.args
                assert isinstance(words, ast.List), f"{path}:{node.lineno}: a list of words"
                first = words.elts[0]
                assert ast.unparse(first) == STARTS[name], f"{path}:{node.lineno}"
