# SPDX-License-Identifier: Apache-2.0
"""An envelope is believed only with a signature of exactly its content."""

import base64
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from containers.evidence.envelope import (
    PAYLOAD_TYPE,
    EvidenceError,
    digest,
    open_envelope,
    pre_authentication_encoding,
    read,
    seal,
)

KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
STATEMENT = {"_type": "https://in-toto.io/Statement/v1", "subject": [], "predicate": {"text": "größer", "n": 1}}


def sign(message: bytes, key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def verify(message: bytes, signature: bytes) -> bool:
    try:
        KEY.public_key().verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def changed(envelope: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(envelope) | fields).encode()


def test_encoding_is_the_one_that_dsse_publishes() -> None:
    """The test vector of https://github.com/secure-systems-lab/dsse/blob/master/protocol.md, with its signature."""
    message = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert message == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    published = base64.b64decode(
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
    )
    numbers = ec.EllipticCurvePublicNumbers(
        46950820868899156662930047687818585632848591499744589407958293238635476079160,
        5640078356564379163099075877009565129882514886557779369047442380624545832820,
        ec.SECP256R1(),
    )
    signature = encode_dss_signature(*(int.from_bytes(half, "big") for half in (published[:32], published[32:])))
    numbers.public_key().verify(signature, message, ec.ECDSA(hashes.SHA256()))


@given(st.text(), st.binary(), st.text(), st.binary())
def test_no_two_contents_are_signed_by_the_same_bytes(kind: str, payload: bytes, other: str, content: bytes) -> None:
    same = pre_authentication_encoding(kind, payload) == pre_authentication_encoding(other, content)
    assert same == ((kind, payload) == (other, content))


def test_sealed_statement_is_read_again_and_named_by_its_bytes() -> None:
    envelope = seal(STATEMENT, sign, "key-1")
    assert open_envelope(envelope, verify) == read(envelope) == STATEMENT
    assert json.loads(envelope)["payloadType"] == PAYLOAD_TYPE == "application/vnd.in-toto+json"
    assert json.loads(envelope)["signatures"][0]["keyid"] == "key-1"
    assert digest(envelope) != digest(envelope + b"\n")
    assert len(digest(envelope)) == 64


def test_equal_statements_have_equal_payloads_whatever_the_order_of_their_keys() -> None:
    turned = dict(reversed(STATEMENT.items()))
    payloads = {json.loads(seal(each, sign, "k"))["payload"] for each in (STATEMENT, turned)}
    assert len(payloads) == 1


def test_every_changed_character_of_the_payload_is_noticed() -> None:
    envelope = seal(STATEMENT, sign, "k")
    payload = base64.b64decode(json.loads(envelope)["payload"])
    for index in range(len(payload)):
        other = payload[:index] + bytes([payload[index] ^ 1]) + payload[index + 1 :]
        with pytest.raises(EvidenceError, match="changed, or forged"):
            open_envelope(changed(envelope, payload=base64.b64encode(other).decode()), verify)


def test_a_statement_that_another_key_signed_is_refused() -> None:
    envelope = seal(STATEMENT, lambda message: sign(message, OTHER), "key-1")
    with pytest.raises(EvidenceError, match="changed, or forged"):
        open_envelope(envelope, verify)
    assert read(envelope) == STATEMENT


def test_one_good_signature_among_several_is_enough_and_none_is_not() -> None:
    envelope = seal(STATEMENT, sign, "k")
    (good,) = json.loads(envelope)["signatures"]
    bad = {"keyid": "k", "sig": base64.b64encode(b"nothing").decode()}
    assert open_envelope(changed(envelope, signatures=[bad, good]), verify) == STATEMENT
    for signatures in ([], [bad]):
        with pytest.raises(EvidenceError, match="changed, or forged"):
            open_envelope(changed(envelope, signatures=signatures), verify)


def test_both_alphabets_of_base64_are_read() -> None:
    envelope = seal({"text": "\u00ff\u00fe?>" * 9}, sign, "k")
    payload = json.loads(envelope)["payload"]
    turned = payload.translate(str.maketrans("+/", "-_"))
    assert open_envelope(changed(envelope, payload=turned), verify) == read(envelope)


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"payloadType": 1}',
        b"\xff",
        changed(seal(STATEMENT, sign, "k"), payloadType="application/json"),
        changed(seal(STATEMENT, sign, "k"), payload="*"),
        changed(seal(STATEMENT, sign, "k"), payload=None),
        changed(seal(STATEMENT, sign, "k"), signatures=None),
        changed(seal(STATEMENT, sign, "k"), signatures=[1]),
        seal([], sign, "k"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_envelope_of_a_statement_is_one_clear_error(envelope: bytes) -> None:
    for reading in (read, lambda each: open_envelope(each, verify)):
        with pytest.raises(EvidenceError, match=r"no DSSE envelope|its payload is"):
            reading(envelope)


def test_a_number_that_json_does_not_know_is_not_signed() -> None:
    with pytest.raises(ValueError, match="JSON"):
        seal({"mAP": float("nan")}, sign, "k")


def test_what_kms_signs_for_a_digest_is_what_it_would_sign_for_the_message() -> None:
    message = b"m" * 5000
    digest_of = hashes.Hash(hashes.SHA256())
    digest_of.update(message)
    signature = KEY.sign(digest_of.finalize(), ec.ECDSA(Prehashed(hashes.SHA256())))
    assert verify(message, signature)
