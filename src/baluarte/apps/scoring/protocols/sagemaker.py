"""SageMaker's container contract: ``/ping`` and ``/invocations`` with its content types.

Source: Amazon SageMaker, "Use Your Own Inference Code with Hosting Services" and "Common Data
Formats for Inference": text/csv has no header, its columns are the schema's given fields in order.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Literal

import msgspec

from baluarte.apps.scoring.answer import Answer, encode_answers
from baluarte.apps.scoring.body import Row, Shape, check_n_rows, parse_body
from baluarte.apps.scoring.problem import Refusal, wrong_shape
from baluarte.apps.scoring.settings import Limits
from baluarte.core.schema import Field

Form = Literal["json", "jsonlines", "csv"]
_FORMS: dict[str, Form] = {
    "application/json": "json", "application/jsonlines": "jsonlines",
    "application/x-ndjson": "jsonlines", "text/csv": "csv",
}  # fmt: skip
_CSV = ("score", "points", "probability", "outcome")


def form_of(content_type: str | None, *, default: Form | None = None) -> Form:
    """The form of a body, or of the answer that a client accepts.

    Raises:
        Refusal: 415 for any other type.
    """
    name = (content_type or "").partition(";")[0].strip().lower()
    form = _FORMS.get(name)
    if form is None and default is not None and name in ("", "*/*"):
        form = default
    if form is None:
        raise Refusal("unsupported_media_type", f"expected {', '.join(_FORMS)}")
    return form


def read(
    body: bytes, form: Form, fields: Sequence[Field], limits: Limits
) -> tuple[Sequence[Row], Shape]:
    """The events of an invocation, and their shape.

    Raises:
        Refusal: 400 or 413, with the path of what is wrong.
    """
    if form != "csv":
        return parse_body(body, "json" if form == "json" else "ndjson", limits)
    try:
        lines = list(csv.reader(io.StringIO(body.decode()), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise wrong_shape("$", "comma-separated values in UTF-8", str(error)) from None
    lines = [line for line in lines if line]
    check_n_rows(len(lines), limits)
    given = [field for field in fields if field.is_given]
    return [_row(i, line, given) for i, line in enumerate(lines)], "many"


def write(answers: Sequence[Answer], form: Form, shape: Shape) -> tuple[bytes, str]:
    """The answer's body and its content type."""
    if form == "csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(
            [getattr(one, name) for name in _CSV] for one in answers
        )
        return out.getvalue().encode(), "text/csv"
    if form == "jsonlines":
        return msgspec.json.Encoder().encode_lines(answers), "application/jsonlines"
    return encode_answers(answers, "many" if shape == "lines" else shape)


def _row(i: int, cells: Sequence[str], fields: Sequence[Field]) -> Row:
    if len(cells) != len(fields):
        raise wrong_shape(
            f"$[{i}]", f"{len(fields)} values: the given fields in order", str(len(cells))
        )
    return {
        ".".join(field.keys): _cell(cell, field, i)
        for field, cell in zip(fields, cells, strict=True)
        if cell
    }


def _cell(cell: str, field: Field, i: int) -> float | int | str | bool:
    """A cell as the JSON that it would have been; what it may hold is the schema's business."""
    try:
        if field.type == "integer":
            return int(cell)
        if field.type == "number":
            return float(cell)
    except ValueError:
        raise wrong_shape(f"$[{i}].{'.'.join(field.keys)}", f"a {field.type}", cell[:60]) from None
    if field.type == "boolean" and cell.lower() in ("true", "false"):
        return cell.lower() == "true"
    return cell
