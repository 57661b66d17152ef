# SPDX-License-Identifier: Apache-2.0
"""Who made or changed something, as the services tell it: ARN and principal of the session or user that asked.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UserContext.html
"""

from __future__ import annotations

from typing import Any

from localcloud.authorisation.deployed import role_of_session
from localcloud.dispatch import Call

ADMINISTRATOR = "administrator"
"""Whoever signs with credentials that this cloud did not give."""


def arn_of(call: Call) -> str:
    """The ARN of who asks."""
    return call.caller or f"arn:aws:iam::{call.account}:user/{ADMINISTRATOR}"


def principal_id_of(call: Call) -> str:
    """The unique id of a role and the name of its session, or the unique id of a user."""
    arn = arn_of(call)
    name = arn.rsplit("/", 1)[-1]
    role = role_of_session(arn) if ":assumed-role/" in arn else None
    return f"{role.id if role else 'AROA'}:{name}" if ":assumed-role/" in arn else f"AIDA{name.upper()}"


def user_context(call: Call) -> dict[str, Any]:
    """What SageMaker tells as CreatedBy and LastModifiedBy of who does not come from Studio.

    Of executions it was seen in what AWS answered to others; the reference names model packages and their groups.
    """
    return {"IamIdentity": {"Arn": arn_of(call), "PrincipalId": principal_id_of(call)}}
