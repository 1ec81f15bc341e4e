"""baluarte.adapters.sources.log: Zeek's own tables are read as Zeek meant them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from baluarte.adapters import csv_table
from baluarte.adapters.sources.log import LogSource
from baluarte.apps.cli.main import main
from baluarte.apps.ready import ready_schemas
from baluarte.core.contract_toml import parse_contract
from baluarte.core.event import concat, records
from baluarte.core.reading import BadRow
from baluarte.core.schema import Field, FieldType, Schema
from baluarte.errors import DataError
from baluarte.testing.sources import SOURCE_CHECKS, Row, SourceCheck

# The example of Zeek's documentation, "Zeek Log Formats and Inspection", and its shape.
CONN = """\
#separator \\x09
#set_separator	,
#empty_field	(empty)
#unset_field	-
#path	conn
#open	2020-06-05-22-13-20
#fields	ts	uid	id.orig_h	id.orig_p	id.resp_h	id.resp_p	proto	service	duration	orig_bytes	resp_bytes	conn_state	local_orig	local_resp	missed_bytes	history	orig_pkts	orig_ip_bytes	resp_pkts	resp_ip_bytes	tunnel_parents
#types	time	string	addr	port	addr	port	enum	string	interval	count	count	string	bool	bool	count	string	count	count	count	count	set[string]
1591367999.305988	CMdzit1AMNsmfAIiQc	192.168.4.76	36844	192.168.4.1	53	udp	dns	0.066852	62	141	SF	T	F	0	Dd	2	118	2	197	-
1591367999.430166	C5bLoe2Mvxqhawzqqd	192.168.4.76	46378	31.3.245.133	80	tcp	http	0.254115	73	2019	SF	-	-	0	ShADadFf	6	389	5	2241	(empty)
1591368000.0	C1	2001:db8::1	1	::1	22	tcp	-	-	-	-	S0	F	T	0	(empty)	1	40	0	0	C2,C3
#close	2020-06-05-22-13-21
"""  # noqa: E501 - as it stands there


def read(address: str, schema: Schema, **options: Any) -> list[dict[str, Any]]:
    found = LogSource().read(address, schema, **{"batch_rows": 1_000, **options})
    return records(concat(list(found)))


def schema_of(types: dict[str, FieldType]) -> Schema:
    return Schema(fields=tuple(Field(name=path, type=kind) for path, kind in types.items()))


@pytest.mark.parametrize("name", ["conn.log", "conn.log.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_conn_log_reads_as_the_same_events_in_json(name: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / name
    data = CONN.replace("\n", end).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    as_json = tmp_path / "json.log"
    as_json.write_text(
        '{"ts":1591367999.305988,"uid":"CMdzit1AMNsmfAIiQc","id.orig_h":"192.168.4.76",'
        '"id.orig_p":36844,"id.resp_h":"192.168.4.1","id.resp_p":53,"proto":"udp",'
        '"service":"dns","duration":0.066852,"orig_bytes":62,"resp_bytes":141,'
        '"conn_state":"SF","local_orig":true,"local_resp":false,"missed_bytes":0,'
        '"history":"Dd","orig_pkts":2,"orig_ip_bytes":118,"resp_pkts":2,"resp_ip_bytes":197}\n'
        '{"ts":1591367999.430166,"uid":"C5bLoe2Mvxqhawzqqd","id.orig_h":"192.168.4.76",'
        '"id.orig_p":46378,"id.resp_h":"31.3.245.133","id.resp_p":80,"proto":"tcp",'
        '"service":"http","duration":0.254115,"orig_bytes":73,"resp_bytes":2019,'
        '"conn_state":"SF","missed_bytes":0,"history":"ShADadFf","orig_pkts":6,'
        '"orig_ip_bytes":389,"resp_pkts":5,"resp_ip_bytes":2241,"tunnel_parents":[]}\n'
        '{"ts":1591368000.0,"uid":"C1","id.orig_h":"2001:db8::1","id.orig_p":1,'
        '"id.resp_h":"::1","id.resp_p":22,"proto":"tcp","conn_state":"S0",'
        '"local_orig":false,"local_resp":true,"missed_bytes":0,"history":"","orig_pkts":1,'
        '"orig_ip_bytes":40,"resp_pkts":0,"resp_ip_bytes":0,"tunnel_parents":["C2","C3"]}\n'
    )
    schema = schema_of(ready_schemas()["zeek-conn"].fields)
    found = read(str(path), schema)
    assert found == read(str(as_json), schema)
    assert found[0]["ts"] == 1591367999305988
    assert (found[0]["local_orig"], found[2]["local_resp"]) == (1, 1)
    assert "service" not in found[2]


def test_init_knows_a_conn_log_and_reads_it_with_its_ready_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conn.log").write_text(CONN)
    assert main(["init", "mine", "--events", "conn.log", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "zeek-conn"
    schema = parse_contract((tmp_path / "mine/detector.toml").read_text(), where="d").events
    assert schema["id.orig_h"].type == "ip"
    assert len(read("conn.log", schema)) == 3


def test_any_log_of_zeeks_is_typed_by_its_head(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text(
        "#separator \\x09\n#unset_field\t-\n#fields\tts\tcode\ton\tn\tnames\n"
        "#types\ttime\tstring\tbool\tcount\tvector[string]\n"
        "1591367999.3\t0042\tT\t-\ta,b\n1591368000.3\t-\tF\t7\t-\n"
    )
    found = {each.name: each for each in LogSource().profile(str(path), max_rows=9)}
    kinds = {name: (each.physical, each.n_missing) for name, each in found.items()}
    assert kinds == {
        "ts": ("float", 0), "code": ("text", 1), "on": ("boolean", 0), "n": ("integer", 1),
    }  # fmt: skip


def test_what_zeek_escapes_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    rows = [
        (r"a\x09b", "a\tb"), (r"\x2d", "-"), (r"c:\\x09", r"c:\x09"), ("ñandú", "ñandú"),
        (r"Espa\xc3\xb1a", "España"), (r"\xff\xfe", r"\xff\xfe"), (r"\x28empty)", "(empty)"),
        (r"\x23 no comment", "# no comment"), ('say "x', 'say "x'),
    ]  # fmt: skip
    text = "".join(f"{written}\n" for written, _ in rows)
    path.write_text(f"#separator \\x09\n#fields\tname\n#types\tstring\n{text}")
    found = read(str(path), schema_of({"name": "category"}))
    assert [each["name"] for each in found] == [meant for _, meant in rows]


class Kept(list[BadRow]):
    """A quarantine that keeps everything."""

    def put(self, row: BadRow) -> None:
        """Keep it."""
        self.append(row)


def test_bad_rows_are_named_by_their_line_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_table, "_FEWEST_ROWS", 1)
    path = tmp_path / "conn.log"
    lines = CONN.splitlines()
    lines[9] = lines[9].replace("73", "many")
    lines.insert(10, "1591368000.0\tshort")
    path.write_text("\n".join(lines) + "\n")
    kept = Kept()
    schema = schema_of(ready_schemas()["zeek-conn"].fields)
    assert len(read(str(path), schema, quarantine=kept)) == 2
    assert [(row.line, row.text) for row in kept] == [(10, lines[9]), (11, lines[10])]
    assert kept[0].faults[0].where == f"{path}:10: orig_bytes"
    assert "expected 21 cells, found 2" in kept[1].faults[0].message


def test_joined_logs_are_one_if_their_columns_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "conn.log"
    schema = schema_of({"uid": "text", "orig_pkts": "integer"})
    path.write_text(CONN + CONN)
    assert len(read(str(path), schema)) == 6
    path.write_text(CONN + CONN.replace("orig_pkts", "other_pkts"))
    with pytest.raises(DataError, match=rf"{path}:19: .*the head of another.*its own file"):
        read(str(path), schema)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#separator \\x09\n", "expected the head of a log"),
        ("#separator \\x09\n#fields\ta\n1\n", "expected the head of a log"),
        ("#separator \\x09\\x09\n#fields\ta\n#types\tcount\n", "expected the head of a log"),
        ("#separator \\x09\n#fields\ta\tb\n#types\tcount\n1\t2\n", "2 fields and 1 types"),
        ("#separator \\x09\n#fields\ta\ta\n#types\tcount\tcount\n1\t2\n", "'a' again"),
        ("#separator \\x09\n#types\tcount\n1\n", "found no names"),
        ("#separator \\x09\n#fields\ta\n#types\tcount\n", "a header and no row"),
        ("#separator \\x09\n" + "#x\ty\n" * 99, "expected the head of a log"),
    ],
)
def test_a_damaged_head_is_refused_in_words(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text(text)
    for act in (
        lambda: LogSource().profile(str(path), max_rows=9),
        lambda: read(str(path), schema_of({"a": "integer"})),
    ):
        with pytest.raises(DataError, match=says):
            act()


def _written(folder: Path, rows: Sequence[Row]) -> str:
    """Rows as Zeek's ASCII writer has them."""

    def cell(value: Any) -> str:
        if value is None:
            return "-"
        if isinstance(value, bool):
            return "T" if value else "F"
        text = str(value).replace("\\", "\\\\").replace("\t", "\\x09").replace("\n", "\\x0a")
        return repr(value) if isinstance(value, float) else text

    names = list(rows[0])
    kinds = {"amount": "double", "tries": "int", "row": "count", "known": "bool", "source": "addr"}
    path = folder / f"x{len(list(folder.iterdir()))}.log"
    head = ["#separator \\x09", "\t".join(["#fields", *names])]
    head.append("\t".join(["#types", *(kinds.get(name, "string") for name in names)]))
    body = ["\t".join(map(cell, row.values())) for row in rows]
    path.write_text("\n".join([*head, *body, "#close\t2026-07-31-12-00-00", ""]))
    return str(path)


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("fewest", [1, 64])
def test_zeeks_tables_conform_as_every_source_does(
    check: SourceCheck, fewest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_table, "_FEWEST_ROWS", fewest)
    check(LogSource(), _written, tmp_path)
