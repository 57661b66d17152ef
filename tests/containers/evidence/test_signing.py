# SPDX-License-Identifier: Apache-2.0
"""What a key of KMS signed is verified by KMS, and by whoever has the public key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from containers.evidence.envelope import EvidenceError, open_envelope, seal
from containers.evidence.signing import signer, verifier
from localcloud import cloud as local_cloud

LONG = {"text": "m" * 9000}


@pytest.fixture(scope="module")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("signing") / ".mapgate"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    yield boto3.client("kms", endpoint_url=local_cloud.up(home).endpoint_url, **keys)  # type: ignore[call-overload]
    local_cloud.down(home)


@pytest.fixture(scope="module")
def key(kms: Any) -> str:
    return str(kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"])


def test_a_statement_longer_than_a_message_of_kms_is_signed_and_believed(kms: Any, key: str) -> None:
    envelope = seal(LONG, signer(kms, key), key)
    assert open_envelope(envelope, verifier(kms, key)) == LONG

    public = serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    assert isinstance(public, ec.EllipticCurvePublicKey)

    def offline(message: bytes, signature: bytes) -> bool:
        public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        return True

    assert open_envelope(envelope, offline) == LONG


def test_another_key_s_signature_is_an_answer_and_a_key_that_is_gone_an_error(kms: Any, key: str) -> None:
    other = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    envelope = seal(LONG, signer(kms, other), key)
    with pytest.raises(EvidenceError, match="changed, or forged"):
        open_envelope(envelope, verifier(kms, key))
    kms.schedule_key_deletion(KeyId=other)
    with pytest.raises(ClientError, match="pending deletion"):
        open_envelope(envelope, verifier(kms, other))


@pytest.mark.parametrize("signature", [b"", b"s" * 7000])
def test_what_is_no_signature_to_kms_does_not_hold(kms: Any, key: str, signature: bytes) -> None:
    assert verifier(kms, key)(b"message", signature) is False
