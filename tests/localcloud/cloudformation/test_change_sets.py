# SPDX-License-Identifier: Apache-2.0
"""A change set says what it would do before anything is done."""

from __future__ import annotations

import json
from typing import Any


def test_a_change_set_lists_what_it_would_do(cloud: Any, stack: Any) -> None:
    def template(**properties: Any) -> str:
        return json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": properties}}})

    stack.bring(json.loads(template(QueueName="listed"))["Resources"])
    name = stack.rested()["StackName"]
    api = cloud.client("cloudformation")
    api.create_change_set(StackName=name, ChangeSetName="rename", TemplateBody=template(QueueName="listed-2"))
    change = api.describe_change_set(StackName=name, ChangeSetName="rename")["Changes"][0]["ResourceChange"]
    assert (change["Action"], change["LogicalResourceId"], change["Replacement"]) == ("Modify", "Queue", "True")
    api.create_change_set(StackName=name, ChangeSetName="nothing", TemplateBody=template(QueueName="listed"))
    nothing = api.describe_change_set(StackName=name, ChangeSetName="nothing")
    assert nothing["Status"] == "FAILED"
    assert "didn't contain changes" in nothing["StatusReason"]
    stack.delete()
