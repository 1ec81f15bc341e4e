"""Every command that a workspace can be asked speaks the workspace's language, and only that."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from workspace_ground import Ground, Shell, armed_parts

from baluarte.apps.catalogue import load
from baluarte.apps.cli.main import main
from baluarte.testing.bundles import sample_events

#: words that English lines have and Spanish ones don't
ENGLISH = re.compile(
    r"\b(the|of|is|are|was|were|has|have|and|by|from|with|until|under|over|records?|keys?|trusted|"
    r"shards?|holds?|known|seen|nothing|nobody|files?|at most|missing|installed|free|needs?|"
    r"checkpoint|witness(es)?|wrote|next|shown|issued|account|person|active|ready|score[sd]?)\b",
    re.IGNORECASE,
)
#: what stays as it is: commands, addresses, paths, digests, names of settings and of standards
AS_IT_IS = re.compile(
    r"baluarte [a-z].*?( ·|$)|python3 .*?( ·|$)|cd \S+ && .*|https?://\S+|\S*/\S*|\S+\.\w+\b|\[\w+\]|"
    r"sha256:\S+|[a-z_]+\.[a-z_.]+|pip install .*|ulimit .*|chmod .*|apt-get .*|\S+@\S+"
)


def english(said: str) -> list[str]:
    """The lines that hold an English word."""
    return [line for line in said.splitlines() if ENGLISH.search(AS_IT_IS.sub(" ", line))]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    ground = Ground(tmp_path / "w", settings='language = "es"\n')
    version = ground.seal(armed_parts())
    ground.promote(version)
    ground.decide(version, sample_events(40))
    return ground


@pytest.fixture
def shell(ground: Ground, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(ground.root, capsys)


@pytest.fixture
def says(shell: Shell) -> Callable[..., str]:
    """Type a command that succeeds; what it says has no English line and ends as all do."""

    def run(*words: str, status: int = 0) -> str:
        found, said = shell.text(*words)
        assert found == status, said
        assert english(said) == [], said
        assert said.strip()
        return " ".join(said.split())  # a long path breaks a line where it likes

    return run


def test_keys(says: Callable[..., str], tmp_path: Path) -> None:
    assert "de confianza hasta" in says("keys", "list")
    assert "privada:" in says("keys", "create", "segunda")
    other = Ground(tmp_path / "other").root
    assert main(["keys", "create", "ajena", "--workspace", str(other / "workspace.toml")]) == 0
    assert "De confianza" in says("keys", "trust", str(next(other.glob("**/ajena.json"))))
    assert "desde ahora" in says("keys", "revoke", "segunda")
    assert "revocada" in says("keys", "list")
    assert "Claves" in says("keys", "verifier", "--out", str(tmp_path / "keys.txt"))
    assert "privada:" in says("keys", "fields", "--out", str(tmp_path / "fields.json"))
    assert "No se emitió" in says("keys", "issued")


def test_accounts_and_their_keys(says: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Todavía no hay" in says("users", "list")
    monkeypatch.setattr("sys.stdin", io.StringIO("una frase bastante larga\n"))
    assert "persona" in says("users", "add", "ana", "--role", "admin@*", "--password-stdin")
    assert "servicio" in says("users", "add", "caja", "--role", "service@*", "--service")
    said = says("keys", "issue", "caja", "--note", "caja")
    assert "Solo se muestra esta vez" in said
    issued = re.search(r"Clave +(\S+) de caja", said)
    assert issued is not None
    assert "vigente" in says("keys", "issued")
    assert "está retirada" in says("keys", "withdraw", issued[1])
    assert "retirada" in says("keys", "issued")
    assert "inactiva" in says("users", "disable", "caja")


def test_the_ledger(says: Callable[..., str], tmp_path: Path) -> None:
    assert "Control" in says("ledger", "checkpoint", "--out", str(tmp_path / "kept"))
    said = says("ledger", "verify", "--against", str(tmp_path / "kept"))
    assert "registros íntegros" in said
    assert "decisiones 40" in said
    assert "promoción 1" in said
    assert "alerta" in says("ledger", "tail")
    assert "Prueba" in says("ledger", "proof", "LAST", "--out", str(tmp_path / "p"))
    assert "Índice" in says("ledger", "index")
    assert "Verificador" in says("ledger", "verifier", "--out", str(tmp_path / "v.py"))
    assert "Exportación" in says("ledger", "export", "--out", str(tmp_path / "all.ndjson"))
    assert "fragmento" in says("ledger", "export", "--tiles", str(tmp_path / "tiles"))
    assert "Petición" in says("ledger", "witness", "--request", str(tmp_path / "ask"))
    says("ledger", "sweep", "--dry-run")


def test_a_ledger_that_was_changed_is_counted_in_spanish(shell: Shell, ground: Ground) -> None:
    assert shell.text("ledger", "checkpoint")[0] == 0
    segment = next(
        path
        for path in sorted(ground.root.glob(".baluarte/ledger/*/*"))
        if path.is_file() and b'"decision"' in path.read_bytes()
    )
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b'"outcome":"pass"', b'"outcome":"pasx"', 1))
    status, said = shell.text("ledger", "verify")
    assert status == 4
    assert re.search(r"Libro +\d+ fallos?", said)
    assert "Siguiente: dejarlo como está" in said


def test_a_witness(says: Callable[..., str], shell: Shell, ground: Ground, tmp_path: Path) -> None:
    witness = str(tmp_path / "testigo")
    assert "su clave privada es solo suya" in says(
        "witness", "create", witness, "testigo.example/1"
    )
    says("ledger", "checkpoint")
    assert shell.text("keys", "verifier", "--out", str(tmp_path / "keys.txt"))[0] == 0
    key = (tmp_path / "keys.txt").read_text().splitlines()[0]
    assert "conocido desde ahora" in says("witness", "trust", witness, key)
    assert "ya era conocido" in says("witness", "trust", witness, key)
    assert "nada visto" in says("witness", "status", witness)
    says("ledger", "witness", "--request", str(tmp_path / "ask"))
    out = str(tmp_path / "answer")
    assert "Cofirmado" in says("witness", "sign", witness, str(tmp_path / "ask"), "--out", out)
    assert "visto hasta" in says("witness", "status", witness)
    vkey = (tmp_path / "testigo" / "witness.txt").read_text().strip()
    settings = ground.root / "workspace.toml"
    settings.write_text(
        settings.read_text() + f'[checkpoints]\nquorum = 1\nwitnesses = [{{ key = "{vkey}" }}]\n'
    )
    assert "se le pide por archivos" in says("ledger", "witness", status=1)
    said = says("ledger", "witness", "--add", out)
    assert "cofirmó el" in said
    assert "hay suficientes" in said
    assert "lo cofirmó (testigo.example/1)" in says("ledger", "verify")


@pytest.mark.usefixtures("kernel")
def test_the_bits_of_a_version(says: Callable[..., str]) -> None:
    assert "trampas" in says("verify", "--bits", "--rows", "200")


def test_a_version(says: Callable[..., str]) -> None:
    assert "flows@1 es íntegro" in says("verify", "flows@1")
    says("explain", "LAST")
    says("status", "flows")
    assert "idénticas" in says("replay", "--sample", "10")
    says("report")


def test_data_and_the_machine(says: Callable[..., str], ground: Ground) -> None:
    events = ground.root / "e.csv"
    events.write_text("id,amount\na,1\n")
    assert "Datos" in says("data", str(events), "--dvc")
    said = says("doctor")
    assert "libres para el libro" in said
    assert "duradero en" in said


def test_a_program_gets_the_same_keys_in_any_language(shell: Shell) -> None:
    _, spanish = shell.json("doctor")
    _, english = shell.json("doctor", "--lang", "en")
    assert [one["check"] for one in spanish["findings"]] == [
        one["check"] for one in english["findings"]
    ]
    assert [list(one) for one in spanish["findings"]] == [list(o) for o in english["findings"]]
    assert [one["label"] for one in spanish["findings"]] != [
        o["label"] for o in english["findings"]
    ]


def test_where_there_is_no_workspace_the_environment_says_the_language(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.csv").write_text("id,amount\na,1\n")
    monkeypatch.setenv("BALUARTE_LANGUAGE", "es")
    assert main(["data", "e.csv"]) == 0
    assert capsys.readouterr().out.strip().startswith("Datos")
    assert main(["data", "e.csv", "--lang", "en"]) == 0
    assert capsys.readouterr().out.strip().startswith("Data")


def test_a_workspace_that_was_made_in_spanish_stays_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"e{i},{i},{'si' if i % 50 == 0 else 'no'}\n" for i in range(2_000))
    (tmp_path / "e.csv").write_text("id,amount,fraude\n" + rows)
    assert main(["init", "tx", "--events", "e.csv", "--label", "fraude", "--lang", "es"]) == 0
    assert '"Decir qué eventos de e.csv son ataques"' in Path("tx/detector.toml").read_text("utf-8")
    assert english(capsys.readouterr().out) == []
    assert main(["status"]) in (0, 1)
    said = capsys.readouterr().out
    assert "Siguiente:" in said
    assert english(said) == []


def test_no_text_of_the_catalogue_would_be_taken_for_english() -> None:
    word = re.compile(r"\b(the|of|are|was|were|has|have|and|from|with)\b")
    kept = {key: re.sub(r"\{[^}]*\}", " ", text) for key, text in load("es").items()}
    assert {key: text for key, text in kept.items() if word.search(text)} == {}
