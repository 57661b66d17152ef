# SPDX-License-Identifier: Apache-2.0
"""What KMS refuses."""

from __future__ import annotations

from localcloud.dispatch import Call
from localcloud.refusals.refusal import documented, parameter, recorded
from localcloud.signing import HASHES, key_of

_TESTS = "kms/test_kms.py"
_MAX_TAGS = 50


@recorded("kms", "CreateKey", "TagException", _TESTS)
def _odd_tags(call: Call) -> str:
    keys = [tag["TagKey"] for tag in call.parameters.get("Tags") or ()]
    if len(keys) > _MAX_TAGS:
        return "Too many tags"
    if any(key.lower().startswith("aws:") for key in keys):
        return "Tags beginning with aws: are reserved"
    return "Duplicate tag keys" if len(keys) != len(set(keys)) else ""


@recorded("kms", "CreateKey", "ValidationException", _TESTS)
def _usage_that_does_not_fit(call: Call) -> str:
    spec = parameter(call, "KeySpec") or "SYMMETRIC_DEFAULT"
    usage = parameter(call, "KeyUsage")
    if spec == "SYMMETRIC_DEFAULT":
        return ""
    if not usage:
        return "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
    fitting = {
        "HMAC": ("GENERATE_VERIFY_MAC",),
        "RSA": ("ENCRYPT_DECRYPT", "SIGN_VERIFY"),
        "ECC": ("SIGN_VERIFY", "KEY_AGREEMENT"),
    }.get(spec.split("_")[0])
    if fitting and usage not in fitting:
        return f"KeyUsage {usage} is not compatible with KeySpec {spec}"
    return ""


_USE = "Encrypt Decrypt GenerateDataKey GetPublicKey Sign Verify"
_STATES = "kms/latest/developerguide/key-state"
_SIGN = "kms/latest/APIReference/API_Sign"


@documented("kms", _USE, _STATES, "DisabledException")
def _disabled(call: Call) -> str:
    key = key_of(call)
    return f"{key.arn} is disabled." if key is not None and key.key_state == "Disabled" else ""


@documented("kms", _USE, _STATES, "KMSInvalidStateException")
def _pending_deletion(call: Call) -> str:
    key = key_of(call)
    return f"{key.arn} is pending deletion." if key is not None and key.key_state == "PendingDeletion" else ""


@documented("kms", "Sign Verify", _SIGN, "InvalidKeyUsageException")
def _key_that_does_not_sign(call: Call) -> str:
    key = key_of(call)
    if key is None or key.key_usage == "SIGN_VERIFY":
        return ""
    return f"{key.arn} key usage is {key.key_usage} which is not valid for signing."


@documented("kms", "Encrypt Decrypt GenerateDataKey", "kms/latest/APIReference/API_Encrypt", "InvalidKeyUsageException")
def _key_that_does_not_encrypt(call: Call) -> str:
    key = key_of(call)
    if key is None or key.key_usage == "ENCRYPT_DECRYPT":
        return ""
    return f"{key.arn} key usage is {key.key_usage} which is not valid for encryption."


@documented("kms", "Sign Verify", _SIGN, "InvalidKeyUsageException")
def _algorithm_of_another_key(call: Call) -> str:
    key, algorithm = key_of(call), parameter(call, "SigningAlgorithm")
    if key is None or algorithm in (key.signing_algorithms or ()):
        return ""
    return f"Algorithm {algorithm} is incompatible with key spec {key.key_spec}."


@documented("kms", "Sign Verify", _SIGN)
def _digest_of_another_length(call: Call) -> str:
    """A message that its caller calls a digest by mistake is refused by its length, seldom else."""
    kind, algorithm = parameter(call, "MessageType"), parameter(call, "SigningAlgorithm")
    hashed = HASHES.get(algorithm[-7:])
    if kind == "EXTERNAL_MU":
        return f"Message type {kind} is incompatible with algorithm {algorithm}."
    if kind != "DIGEST" or hashed is None or len(call.parameters["Message"]) == hashed.digest_size:
        return ""
    return f"Digest is invalid length for algorithm {algorithm}."


@documented("kms", "GetPublicKey", "kms/latest/APIReference/API_GetPublicKey", "UnsupportedOperationException")
def _symmetric_key_has_no_public_half(call: Call) -> str:
    key = key_of(call)
    return f"{key.arn} is not an asymmetric key." if key is not None and not _is_asymmetric(key) else ""


@documented(
    "kms", "EnableKeyRotation", "kms/latest/APIReference/API_EnableKeyRotation", "UnsupportedOperationException"
)
def _asymmetric_key_that_turns(call: Call) -> str:
    key = key_of(call)
    return f"{key.arn} origin or spec does not support rotation." if key is not None and _is_asymmetric(key) else ""


def _is_asymmetric(key: object) -> bool:
    return str(vars(key)["key_spec"]).startswith(("RSA", "ECC", "SM2"))
