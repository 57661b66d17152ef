# SPDX-License-Identifier: Apache-2.0
"""Signing and verifying by a key of KMS, through whatever client the caller has.

The message goes as its SHA-256: KMS takes 4,096 bytes at most, and what it signs for a message under ECDSA_SHA_256 is
the same digest that it computes of a RAW one.
https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

import hashlib
from collections.abc import Callable
from typing import Any

ALGORITHM = "ECDSA_SHA_256"


def signer(kms: Any, key_id: str) -> Callable[[bytes], bytes]:
    """Return what signs a message, for `envelope.seal`.

    Args:
        kms: boto3's client.
        key_id: ARN of an ECC_NIST_P256 key that signs.
    """

    def sign(message: bytes) -> bytes:
        answer = kms.sign(KeyId=key_id, Message=_digest(message), MessageType="DIGEST", SigningAlgorithm=ALGORITHM)
        return bytes(answer["Signature"])

    return sign


def verifier(kms: Any, key_id: str) -> Callable[[bytes, bytes], bool]:
    """Return what says whether a message has a signature by the key, for `envelope.open_envelope`.

    A signature that does not hold is an error in KMS, and an answer here; that nobody may ask stays an error.
    https://docs.aws.amazon.com/kms/latest/APIReference/API_Verify.html

    Args:
        kms: boto3's client.
        key_id: ARN of the key.
    """

    def verify(message: bytes, signature: bytes) -> bool:
        # KMS takes signatures of 1 to 6,144 bytes.
        if not 1 <= len(signature) <= 6144:
            return False
        try:
            answer = kms.verify(
                KeyId=key_id,
                Message=_digest(message),
                MessageType="DIGEST",
                Signature=signature,
                SigningAlgorithm=ALGORITHM,
            )
        except kms.exceptions.KMSInvalidSignatureException:
            return False
        return bool(answer["SignatureValid"])

    return verify


def _digest(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()
