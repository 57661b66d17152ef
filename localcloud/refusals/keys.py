# SPDX-License-Identifier: Apache-2.0
"""What KMS refuses."""

from __future__ import annotations

from localcloud.dispatch import Call
from localcloud.refusals.refusal import parameter, recorded

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
