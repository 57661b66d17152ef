# SPDX-License-Identifier: Apache-2.0
"""KMS's asymmetric keys: signatures of a message or of its digest, which anybody with the public key can verify.

moto signs the text of a request's base64 and knows no digests, so that its signatures hold in moto alone.
https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from localcloud.context import CloudContext
from localcloud.dispatch import Call, Handler, ServiceError, backend, replace_action, state_lock

HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA_256": hashes.SHA256(),
    "SHA_384": hashes.SHA384(),
    "SHA_512": hashes.SHA512(),
}
"""By the end of a signing algorithm's name."""


def install(_: CloudContext) -> None:
    """Answer what is done with keys that sign."""
    handlers: dict[str, Handler] = {"GetPublicKey": _public_key, "Sign": _sign, "Verify": _verify}
    for action, handler in handlers.items():
        replace_action("kms", action, handler)


def key_of(call: Call) -> Any | None:
    """moto's key that a call names by id, ARN or alias; None where there is none, or the call names none."""
    name = str(call.parameters.get("KeyId") or "")
    parts = name.split(":")
    account, region = (parts[4], parts[3]) if name.startswith("arn:") else (call.account, call.region)
    with state_lock:
        kms = backend("kms", account, region)
        return kms.keys.get(kms.any_id_to_key_id(name)) if name else None


def _sign(call: Call) -> dict[str, Any]:
    key, algorithm = _existing(call), call.parameters["SigningAlgorithm"]
    signature = key.private_key.private_key.sign(call.parameters["Message"], *_scheme(call))
    return {"KeyId": key.arn, "Signature": signature, "SigningAlgorithm": algorithm}


def _verify(call: Call) -> dict[str, Any]:
    """What does not hold is an error: https://docs.aws.amazon.com/kms/latest/APIReference/API_Verify.html."""
    key, given = _existing(call), call.parameters
    try:
        key.private_key.private_key.public_key().verify(given["Signature"], given["Message"], *_scheme(call))
    except InvalidSignature:
        raise ServiceError("KMSInvalidSignatureException", "") from None
    return {"KeyId": key.arn, "SignatureValid": True, "SigningAlgorithm": given["SigningAlgorithm"]}


def _public_key(call: Call) -> dict[str, Any]:
    key = _existing(call)
    told = {
        "KeyId": key.arn,
        "PublicKey": key.private_key.public_key(),
        "CustomerMasterKeySpec": key.key_spec,
        "KeySpec": key.key_spec,
        "KeyUsage": key.key_usage,
        "EncryptionAlgorithms": key.encryption_algorithms,
        "SigningAlgorithms": key.signing_algorithms,
    }
    return {name: value for name, value in told.items() if value is not None}


def _existing(call: Call) -> Any:
    key = key_of(call)
    if key is None:
        raise ServiceError("NotFoundException", f"Key '{call.parameters['KeyId']}' does not exist")
    return key


def _scheme(call: Call) -> tuple[Any, ...]:
    """What `cryptography` wants beside the message, for a message or for its digest."""
    algorithm = call.parameters["SigningAlgorithm"]
    plain = HASHES[algorithm[-7:]]
    hashed: Any = Prehashed(plain) if call.parameters.get("MessageType") == "DIGEST" else plain
    if algorithm.startswith("ECDSA"):
        return (ec.ECDSA(hashed),)
    if algorithm.startswith("RSASSA_PSS"):
        return padding.PSS(padding.MGF1(plain), plain.digest_size), hashed
    return padding.PKCS1v15(), hashed
