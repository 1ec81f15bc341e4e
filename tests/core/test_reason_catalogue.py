"""baluarte.core.reason_catalogue: all faults at once, nothing that could name a hidden field."""

from __future__ import annotations

import msgspec
import pytest

from baluarte.core.contract import canonical, decode_canonical
from baluarte.core.contract_toml import parse_contract
from baluarte.core.reason_catalogue import ReasonCatalogue, mentions, parse_reasons
from baluarte.errors import ContractError
from baluarte.testing.bundles import SCHEMA, sample_contract

GOOD = """
most = 2
[fields.bytes_out]
code = "R01"
internal.en = "bytes out {value} against {usual}"
customer = { en = "A lot was sent: {value}", es = "Se envió mucho: {value}" }
[fields.failures]
code = "R02"
hidden = true
"""

CONTRACT = """
name = "flows"
purpose = "p"
owner = "o"
reasons = "reasons.toml"
[events]
label = "attack"
positive = ["true"]
[types]
number = ["bytes_out"]
integer = ["failures"]
boolean = ["attack"]
[objective]
max_fpr = 0.01
"""


def test_a_good_file_is_read_whole() -> None:
    found = parse_reasons(GOOD, where="r.toml", schema=SCHEMA)
    assert found.most == 2
    assert found.hidden == {"failures"}
    assert found.fields["bytes_out"].internal == {"en": "bytes out {value} against {usual}"}
    assert found.fields["bytes_out"].customer["es"] == "Se envió mucho: {value}"


def test_every_fault_is_told_at_once_with_its_line() -> None:
    bad = """
most = 0
[fields.bytes_oot]
code = "R01"
[fields.bytes_out]
code = "R01"
customer.en = "more FAILURES than {valu}"
[fields.failures]
hidden = true
customer.en = "never"
"""
    with pytest.raises(ContractError) as caught:
        parse_reasons(bad, where="r.toml", schema=SCHEMA)
    said = [str(fault) for fault in caught.value.faults]
    assert len(said) == 6
    assert all(line.startswith("r.toml:") for line in said)
    assert any("Did you mean bytes_out?" in line for line in said)
    assert any("names failures, which is hidden" in line for line in said)
    assert any("R01 is bytes_oot's already" in line for line in said)


@pytest.mark.parametrize("text", ["{", "}", "{value", "{0}", "{value.x}", "{value!r} {", "{{x}}"])
def test_braces_that_are_no_placeholder_of_ours_are_refused(text: str) -> None:
    with pytest.raises(ContractError):
        parse_reasons(
            f'[fields.bytes_out]\ncustomer.en = "{text}"\n', where="r.toml", schema=SCHEMA
        )


def test_a_contract_seals_its_catalogue_and_old_contracts_keep_their_bytes() -> None:
    contract = parse_contract(CONTRACT, where="d.toml", beside={"reasons.toml": GOOD}.__getitem__)
    assert isinstance(contract.reasons, ReasonCatalogue)
    assert decode_canonical(canonical(contract)) == contract
    assert b"reasons" not in canonical(sample_contract())
    unread = parse_contract(CONTRACT, where="d.toml")
    assert unread.reasons is msgspec.UNSET


def test_faults_of_both_files_come_together() -> None:
    with pytest.raises(ContractError) as caught:
        parse_contract(
            CONTRACT.replace("max_fpr", "max_frp"),
            where="d.toml",
            beside=lambda _: "[fields.nothing]\n",
        )
    places = {(fault.where or "").partition(":")[0] for fault in caught.value.faults}
    assert places == {"d.toml", "reasons.toml"}


def test_a_name_is_mentioned_as_a_word_in_any_case() -> None:
    assert mentions("your Amount is high", "amount")
    assert mentions("(amount)", "amount")
    assert not mentions("amounts", "amount")
