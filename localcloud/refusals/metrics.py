# SPDX-License-Identifier: Apache-2.0
"""What CloudWatch refuses."""

from __future__ import annotations

import re

from localcloud.dispatch import Call
from localcloud.refusals.refusal import parameter, recorded

_TESTS = "cloudwatch/test_cloudwatch.py"


@recorded("cloudwatch", "PutMetricData", "InvalidParameterCombination", _TESTS)
def _value_given_twice(call: Call) -> str:
    for number, datum in enumerate(call.parameters.get("MetricData") or (), 1):
        for other in ("Values", "StatisticValues"):
            if datum.get("Value") is not None and datum.get(other):
                where = f"MetricData.member.{number}."
                two = f"The parameters {where}Value and {where}{other}"
                return f"{two} are mutually exclusive and you have specified both."
    return ""


@recorded("cloudwatch", "PutDashboard", "InvalidParameterValue", _TESTS)
def _odd_dashboard_name(call: Call) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", parameter(call, "DashboardName")):
        return ""
    allowed = "It can only contain alphanumerics, dash (-) and underscore (_)."
    return f"The value for field DashboardName contains invalid characters. {allowed}\n"
