# SPDX-License-Identifier: Apache-2.0
"""What CloudWatch Logs refuses."""

from __future__ import annotations

from localcloud.dispatch import Call
from localcloud.refusals.refusal import recorded


@recorded("logs", "DescribeLogStreams", "ValidationException", "logs/test_logs_streams.py")
def _group_named_twice(call: Call) -> str:
    if call.parameters.get("logGroupName") and call.parameters.get("logGroupIdentifier"):
        return "LogGroup name and LogGroup ARN are mutually exclusive parameters."
    return ""
