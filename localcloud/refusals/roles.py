# SPDX-License-Identifier: Apache-2.0
"""What IAM refuses."""

from __future__ import annotations

import re

from localcloud.dispatch import Call
from localcloud.refusals.refusal import recorded

_TESTS = "iam/test_iam.py"
_ARN = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+")


@recorded("iam", "AttachRolePolicy DetachRolePolicy", "ValidationError", _TESTS)
def _no_arn(call: Call) -> str:
    return "" if _ARN.fullmatch(call.parameters["PolicyArn"]) else "Invalid ARN:  Could not be parsed!"
