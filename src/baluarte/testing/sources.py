"""Every source's conformance suite: what ``ports.Source`` promises, as checks that raise.

>>> from baluarte.testing.sources import SOURCE_CHECKS
>>> [check.__name__ for check in SOURCE_CHECKS][:2]
['canonical_values_are_those_of_the_row_road', 'batches_keep_the_order_and_the_size']

A check takes the source, a folder of its own and a function that writes rows (flat, JSON-like) to a
new file in that folder in the source's format and returns its address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from baluarte.core.event import Events, Value, concat, records
from baluarte.core.event_rows import from_rows
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError
from baluarte.ports import Source
from baluarte.testing.expect import expect, refusal

Row = Mapping[str, Value | bool | None]
Make = Callable[[Path, Sequence[Row]], str]
SourceCheck = Callable[[Source, Make, Path], None]

SCHEMA = Schema(
    fields=(
        Field(name="ref", type="category", role="id"),
        Field(name="at", type="time", role="time"),
        Field(name="amount", type="number"),
        Field(name="tries", type="integer"),
        Field(name="known", type="boolean"),
        Field(name="country", type="category"),
        Field(name="note", type="text"),
        Field(name="source", type="ip"),
        Field(name="verdict", type="category", role="label"),
        Field(name="row", type="integer", role="ignored"),
    )
)

ROWS: tuple[Row, ...] = tuple(
    {
        "ref": f"e-{i}",
        "at": f"2026-07-31T12:00:{i:02d}.5+02:00",
        "amount": (0.1, 1e-300, 3.4e38, -2.5, None, 123456.789, 0.30000000000000004)[i % 7],
        "tries": (0, 9007199254740993, None, -7)[i % 4],
        "known": (True, False, None)[i % 3],
        "country": ("ES", "ñandú", None, "a,b", 'say "x"', "two\nlines")[i % 6],
        "note": ("plain", None, "tab\there; and | more", "日本")[i % 4],
        "source": ("192.0.2.7", "2001:db8::1", None)[i % 3],
        "verdict": ("0", "1")[i % 2],
        "row": i,
    }
    for i in range(23)
)


def read_all(source: Source, address: str, schema: Schema = SCHEMA, batch_rows: int = 7) -> Events:
    """All batches as one."""
    return concat(list(source.read(address, schema, batch_rows=batch_rows)))


def canonical_values_are_those_of_the_row_road(source: Source, make: Make, folder: Path) -> None:
    """What is read are the canonical values, bit for bit."""
    found = records(read_all(source, make(folder, ROWS)))
    wanted = records(from_rows(SCHEMA, ROWS))
    for i, (ours, theirs) in enumerate(zip(wanted, found, strict=True)):
        expect(ours == theirs, f"row {i} should read {ours}, and reads {theirs}")


def batches_keep_the_order_and_the_size(source: Source, make: Make, folder: Path) -> None:
    """However large the batches, the same events in the file's order."""
    address = make(folder, ROWS)
    whole = records(read_all(source, address, batch_rows=10_000))
    for batch_rows in (1, 5, 23):
        batches = list(source.read(address, SCHEMA, batch_rows=batch_rows))
        expect(max(b.n for b in batches) <= batch_rows, "a batch has at most batch_rows events")
        expect(min(b.n for b in batches) > 0, "no batch is empty")
        expect(records(concat(batches)) == whole, "batches add up to the file, in its order")


def values_that_do_not_conform_are_named(source: Source, make: Make, folder: Path) -> None:
    """Every fault is counted, the first ones are named, and nothing faulty is yielded."""
    address = make(folder, [{**row, "amount": "much"} for row in ROWS])
    seen: list[Events] = []
    error = refusal(
        lambda: seen.extend(source.read(address, SCHEMA, batch_rows=10)),
        "text where a number is expected is refused",
    )
    expect(isinstance(error, DataError), "what is wrong with data is a DataError")
    expect(not seen, "nothing is yielded from the first fault on")
    text = str(error)
    expect("amount" in text, "a fault names the field")
    expect(address in text, "a fault names the file")
    expect("much" in text, "a fault says what was found")
    expect("3 more" in text, "faults past the first twenty are counted")


def an_absent_feature_is_named(source: Source, make: Make, folder: Path) -> None:
    """A file without a feature's column is refused, or the feature is missing in every row."""
    address = make(folder, [{k: v for k, v in row.items() if k != "country"} for row in ROWS])
    try:
        events = read_all(source, address)
    except DataError as error:
        expect("country" in str(error), "the absent column is named")
    else:
        expect(
            all(value is None for value in events.columns["country"]),
            "an absent feature is missing in every row",
        )


def an_absent_label_is_only_missing(source: Source, make: Make, folder: Path) -> None:
    """Events to score have no label yet."""
    events = read_all(
        source, make(folder, [{k: v for k, v in row.items() if k != "verdict"} for row in ROWS])
    )
    column = events.columns.get("verdict")
    expect(column is None or all(v is None for v in column), "an absent label is missing")


def other_columns_are_left_out(source: Source, make: Make, folder: Path) -> None:
    """What the schema doesn't have, or says to ignore, isn't read."""
    events = read_all(source, make(folder, [{**row, "other": "x"} for row in ROWS]))
    expect("other" not in events.columns, "a column that the schema doesn't have is left out")
    expect("row" not in events.columns, "an ignored column is left out")


def a_profile_says_what_the_columns_hold(source: Source, make: Make, folder: Path) -> None:
    """Names in the file's order, counts that add up, types that fit."""
    profile = {column.name: column for column in source.profile(make(folder, ROWS), max_rows=20)}
    expect(set(profile) == set(ROWS[0]), "each column has a profile")
    expect(all(column.n == 20 for column in profile.values()), "at most max_rows are looked at")
    expect(profile["amount"].physical == "float", "numbers with fractions are float")
    expect(profile["row"].physical == "integer", "whole numbers are integer")
    # SQLite has no truths: it keeps 0 and 1.
    expect(profile["known"].physical in ("boolean", "integer"), "truths are boolean")
    expect(profile["at"].physical == "time", "times are time")
    expect(profile["note"].physical == "text", "anything else is text")
    expect(profile["note"].n_missing == 5, "missing values are counted")
    expect(profile["note"].n_distinct == 3, "distinct values are counted")
    expect((profile["row"].low, profile["row"].high) == (0.0, 19.0), "numbers have a range")


def no_file_is_an_error_with_its_name(source: Source, make: Make, folder: Path) -> None:
    """A file that isn't there, and a folder, are refused by name."""
    if not source.suffixes:
        return
    address = make(folder, ROWS)
    nowhere = address + ".gone" + "".join(Path(address).suffixes)
    error = refusal(lambda: read_all(source, nowhere), "an absent file is refused")
    expect(nowhere in str(error), "the absent file is named")
    expect(isinstance(refusal(lambda: read_all(source, str(folder)), "a folder is refused"),
                      DataError), "a folder is the data's owner's business")  # fmt: skip


def the_digest_is_of_the_content(source: Source, make: Make, folder: Path) -> None:
    """Equal content has one digest, other content another."""
    address = make(folder, ROWS)
    digest = source.digest(address)
    expect(digest.startswith("sha256:") and len(digest) == 71, "a digest says its algorithm")
    expect(source.digest(make(folder, ROWS)) == digest, "the same content has the same digest")
    expect(source.digest(make(folder, ROWS[:3])) != digest, "other events have another digest")


SOURCE_CHECKS: tuple[SourceCheck, ...] = (
    canonical_values_are_those_of_the_row_road,
    batches_keep_the_order_and_the_size,
    values_that_do_not_conform_are_named,
    an_absent_feature_is_named,
    an_absent_label_is_only_missing,
    other_columns_are_left_out,
    a_profile_says_what_the_columns_hold,
    no_file_is_an_error_with_its_name,
    the_digest_is_of_the_content,
)
