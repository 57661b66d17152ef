# SPDX-License-Identifier: Apache-2.0
"""Custom resources: a function is told what to make, and what it answers is the resource."""

from __future__ import annotations

from typing import Any


def test_custom_resources_ask_their_function_and_take_its_answer(cloud: Any, stack: Any) -> None:
    source = """
import json, urllib.request
def handler(event, context):
    properties = event["ResourceProperties"]
    answer = {"Status": "FAILED" if properties.get("Fail") else "SUCCESS", "Reason": "as told",
              "PhysicalResourceId": "made-" + properties.get("Name", ""),
              "Data": {"What": event["RequestType"], "Was": event.get("OldResourceProperties", {}).get("Name", "")}}
    answer.update({key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")})
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    print(event["RequestType"], event.get("PhysicalResourceId"))
    urllib.request.urlopen(request)
"""
    token = cloud.create_function("custom", source)

    def resources(**properties: Any) -> dict[str, Any]:
        return {"Custom": {"Type": "Custom::Thing", "Properties": {"ServiceToken": token, **properties}}}

    outputs = {key: {"Value": {"Fn::GetAtt": ["Custom", key]}} for key in ("What", "Was")}
    made = stack.bring(resources(Name="a"), outputs)
    assert {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]} == {"What": "Create", "Was": ""}
    changed = stack.bring(resources(Name="b"), outputs)
    assert {one["OutputKey"]: one["OutputValue"] for one in changed["Outputs"]} == {"What": "Update", "Was": "a"}
    assert stack.physical("Custom") == "made-b"
    assert "Delete made-a" in cloud.log_of("custom")  # another physical id is another resource
    assert stack.bring(resources(Name="b", Fail=True))["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "as told" in stack.reasons()
    assert stack.delete()
    assert "Delete made-b" in cloud.log_of("custom")
