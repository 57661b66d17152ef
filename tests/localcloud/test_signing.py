# SPDX-License-Identifier: Apache-2.0
"""Keys that sign: what they sign is verified with the public key alone, by the digest as by the message."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

ALGORITHM = "ECDSA_SHA_256"
MESSAGE = b"\x00\xff a message"
DIGEST = hashlib.sha256(MESSAGE).digest()


@pytest.fixture
def kms(cloud: Any) -> Any:
    return cloud.client("kms")


@pytest.fixture
def key(kms: Any) -> str:
    made = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    return str(made["KeyMetadata"]["Arn"])


def refused(code: str, sentence: str, action: Any, **parameters: Any) -> None:
    with pytest.raises(ClientError, match=sentence) as caught:
        action(**parameters)
    assert caught.value.response["Error"]["Code"] == code


def test_a_signature_holds_for_whoever_has_the_public_key(kms: Any, key: str) -> None:
    told = kms.get_public_key(KeyId=key)
    assert (told["KeyId"], told["KeySpec"], told["KeyUsage"]) == (key, "ECC_NIST_P256", "SIGN_VERIFY")
    assert told["SigningAlgorithms"] == [ALGORITHM]
    public = serialization.load_der_public_key(told["PublicKey"])
    assert isinstance(public, ec.EllipticCurvePublicKey)
    for given in ({"Message": MESSAGE}, {"Message": DIGEST, "MessageType": "DIGEST"}):
        signed = kms.sign(KeyId=key, SigningAlgorithm=ALGORITHM, **given)
        assert (signed["KeyId"], signed["SigningAlgorithm"]) == (key, ALGORITHM)
        public.verify(signed["Signature"], MESSAGE, ec.ECDSA(hashes.SHA256()))


def test_a_key_for_rsa_signs_as_it_is_asked(kms: Any) -> None:
    key = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    public: Any = serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    salted = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    for algorithm, scheme in (("RSASSA_PSS_SHA_256", salted), ("RSASSA_PKCS1_V1_5_SHA_256", padding.PKCS1v15())):
        signed = kms.sign(KeyId=key, SigningAlgorithm=algorithm, Message=DIGEST, MessageType="DIGEST")
        public.verify(signed["Signature"], MESSAGE, scheme, hashes.SHA256())


def test_what_one_key_signed_by_its_alias_no_other_has(kms: Any, key: str) -> None:
    kms.create_alias(AliasName="alias/signs", TargetKeyId=key)
    other = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    signature = kms.sign(KeyId="alias/signs", SigningAlgorithm=ALGORITHM, Message=MESSAGE)["Signature"]
    asked = {"SigningAlgorithm": ALGORITHM, "Signature": signature}
    assert kms.verify(KeyId=key, Message=MESSAGE, **asked)["SignatureValid"] is True
    assert kms.verify(KeyId=key, Message=DIGEST, MessageType="DIGEST", **asked)["SignatureValid"] is True
    code = "KMSInvalidSignatureException"
    refused(code, "Verify operation", kms.verify, KeyId=key, Message=MESSAGE + b".", **asked)
    refused(code, "Verify operation", kms.verify, KeyId=other, Message=MESSAGE, **asked)
    refused(code, "Verify operation", kms.verify, KeyId=key, Message=MESSAGE, **{**asked, "Signature": b"no signature"})
    kms.delete_alias(AliasName="alias/signs")


def test_messages_that_are_no_digest_or_too_long(kms: Any, key: str) -> None:
    asked = {"KeyId": key, "SigningAlgorithm": ALGORITHM}
    for length in (20, 31, 33, 64):
        refused("ValidationException", "invalid length", kms.sign, Message=b"d" * length, MessageType="DIGEST", **asked)
    refused("ValidationException", "less than or equal to 4096", kms.sign, Message=b"m" * 4097, **asked)
    assert kms.sign(Message=b"m" * 4096, **asked)["Signature"]
    refused("ValidationException", "enum value set", kms.sign, Message=MESSAGE, MessageType="HASH", **asked)
    refused("ValidationException", "incompatible", kms.sign, Message=b"m" * 64, MessageType="EXTERNAL_MU", **asked)


def test_keys_that_are_for_something_else(kms: Any, key: str) -> None:
    encrypts = kms.create_key()["KeyMetadata"]["Arn"]
    asked = {"SigningAlgorithm": ALGORITHM, "Message": MESSAGE}
    refused("InvalidKeyUsageException", "ENCRYPT_DECRYPT", kms.sign, KeyId=encrypts, **asked)
    refused("InvalidKeyUsageException", "ENCRYPT_DECRYPT", kms.verify, KeyId=encrypts, Signature=b"s", **asked)
    refused("InvalidKeyUsageException", "SIGN_VERIFY", kms.encrypt, KeyId=key, Plaintext=b"p")
    refused("UnsupportedOperationException", "not an asymmetric", kms.get_public_key, KeyId=encrypts)
    refused("UnsupportedOperationException", "rotation", kms.enable_key_rotation, KeyId=key)
    for algorithm in ("RSASSA_PSS_SHA_256", "ECDSA_SHA_384"):
        asked["SigningAlgorithm"] = algorithm
        refused("InvalidKeyUsageException", "incompatible with key spec ECC_NIST_P256", kms.sign, KeyId=key, **asked)
    refused("NotFoundException", "does not exist", kms.sign, KeyId="134f2428-cec1-4b25-a1ae-9048164dba47", **asked)


def test_a_disabled_key_and_one_that_is_to_be_deleted_do_nothing(kms: Any, key: str) -> None:
    asked = {"KeyId": key, "SigningAlgorithm": ALGORITHM, "Message": MESSAGE}
    kms.disable_key(KeyId=key)
    refused("DisabledException", "is disabled", kms.sign, **asked)
    refused("DisabledException", "is disabled", kms.get_public_key, KeyId=key)
    kms.enable_key(KeyId=key)
    assert kms.sign(**asked)["Signature"]
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    refused("KMSInvalidStateException", "pending deletion", kms.sign, **asked)
    refused("KMSInvalidStateException", "pending deletion", kms.verify, Signature=b"s", **asked)
