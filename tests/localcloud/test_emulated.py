# SPDX-License-Identifier: Apache-2.0
"""What nothing here would do is refused by its name, and what is said to be emulated is what we use."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from localcloud.emulated import ACTIONS, DESCRIBED_ONLY, READS, what_is_not_emulated

ROOT = Path(__file__).parents[2]
FROM_OUTSIDE = {
    # https://docs.aws.amazon.com/cdk/v2/guide/ref-cli-cmd-deploy.html, and the AWS CLI's own transfers.
    "cloudformation": {"CreateChangeSet", "DeleteChangeSet", "ExecuteChangeSet", "UpdateTerminationProtection"},
    "s3": {"AbortMultipartUpload", "CopyObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy"},
    # Other halves of what we call.
    "events": {"EnableRule"},
    "lambda": {"DeleteFunctionEventInvokeConfig", "PublishLayerVersion", "PutFunctionEventInvokeConfig"},
    "sagemaker": {"DeleteTags", "StopProcessingJob"},
}
"""Called by others' programs than ours."""

REFUSED = {
    "create_archive",
    "create_notebook_instance",
    "invoke_endpoint_async",
    "put_bucket_notification_configuration",
    "update_access_key",
}
"""Called by tests only, to see it refused."""


@cache
def model_of(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def told(service: str, action: str, **parameters: Any) -> str:
    shape = model_of(service).operation_model(action).input_shape
    return what_is_not_emulated(service, action, parameters, shape)


@pytest.mark.parametrize(
    ("service", "method", "parameters", "name"),
    [
        (
            "sagemaker-runtime",
            "invoke_endpoint_async",
            {"EndpointName": "e", "InputLocation": "s3://b/k"},
            "InvokeEndpointAsync of sagemaker-runtime",
        ),
        (
            "sagemaker-runtime",
            "invoke_endpoint",
            {"EndpointName": "e", "Body": b"", "TargetModel": "m"},
            "TargetModel of InvokeEndpoint",
        ),
        (
            "sagemaker",
            "create_notebook_instance",
            {
                "NotebookInstanceName": "n",
                "InstanceType": "ml.t3.medium",
                "RoleArn": "arn:aws:iam::123456789012:role/service",
            },
            "CreateNotebookInstance of sagemaker",
        ),
        (
            "sagemaker",
            "create_endpoint_config",
            {
                "EndpointConfigName": "c",
                "ProductionVariants": [
                    {"VariantName": "v", "ModelName": "m", "RoutingConfig": {"RoutingStrategy": "RANDOM"}}
                ],
            },
            "ProductionVariants.RoutingConfig of CreateEndpointConfig",
        ),
        (
            "s3",
            "put_bucket_notification_configuration",
            {"Bucket": "b-1-2", "NotificationConfiguration": {"EventBridgeConfiguration": {}}},
            "PutBucketNotificationConfiguration of s3",
        ),
        (
            "events",
            "create_archive",
            {"ArchiveName": "a", "EventSourceArn": "arn:aws:events:us-east-1:123456789012:event-bus/default"},
            "CreateArchive of events",
        ),
        ("ec2", "create_vpc", {"CidrBlock": "10.0.0.0/16"}, "ec2"),
    ],
)
def test_what_nothing_here_would_do_is_refused_by_name(
    cloud: Any, service: str, method: str, parameters: dict[str, Any], name: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(cloud.client(service), method)(**parameters)
    assert refused.value.response["Error"]["Code"] == "NotImplemented"
    assert refused.value.response["Error"]["Message"] == f"{name} is not emulated by this cloud."


def test_reads_tell_what_is_there(cloud: Any) -> None:
    assert cloud.client("sagemaker").list_notebook_instances()["NotebookInstances"] == []


def test_a_choice_that_a_read_would_pass_over_is_refused() -> None:
    assert told("sagemaker", "ListTrainingJobs", StatusEquals="Failed") == ""
    expected = "WarmPoolStatusEquals of ListTrainingJobs is not emulated by this cloud."
    assert told("sagemaker", "ListTrainingJobs", WarmPoolStatusEquals="InUse") == expected
    assert told("sagemaker", "Search", Resource="Pipeline") == "Search of sagemaker is not emulated by this cloud."


def test_a_new_parameter_of_an_api_is_refused_until_it_is_emulated() -> None:
    for service, actions in ACTIONS.items():
        for action in actions:
            shape = model_of(service).operation_model(action).input_shape
            for name in shape.members:
                listed = any(path.split(".")[0] == name for path in actions[action].split())
                expected = (
                    "" if listed or name in DESCRIBED_ONLY else f"{name} of {action} is not emulated by this cloud."
                )
                value = {"Some": "thing"} if not listed else None
                assert told(service, action, **{name: value}) == expected


def test_every_parameter_that_is_emulated_exists() -> None:
    for service, actions in ACTIONS.items():
        for action, paths in actions.items():
            for path in paths.split():
                shape = model_of(service).operation_model(action).input_shape
                for part in path.split("."):
                    while shape.type_name == "list":
                        shape = shape.member
                    shape = shape.members[part]


def test_described_parameters_are_some_actions() -> None:
    names = {
        name
        for service, actions in ACTIONS.items()
        for action in actions
        for name in model_of(service).shape_names
        if model_of(service).shape_for(name).type_name == "structure"
        for name in model_of(service).shape_for(name).members
    }
    assert names >= DESCRIBED_ONLY


@cache
def names_in_use() -> set[str]:
    """Whatever our code may call a method of a client by, or hand over as the name of an action."""
    files = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found: set[str] = set()
    for file in files.split():
        if file == "localcloud/emulated.py":
            continue
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_every_action_that_is_emulated_is_in_use() -> None:
    used = names_in_use()
    for service, actions in ACTIONS.items():
        idle = {name for name in actions if not {name, xform_name(name)} & used}
        assert idle <= FROM_OUTSIDE.get(service, set()), service


def test_every_action_in_use_is_emulated() -> None:
    """A method's name that is an action's of a service in use is one of an action that is emulated, of some service."""
    emulated = {xform_name(action) for actions in ACTIONS.values() for action in actions}
    every = {xform_name(a): a for service in ACTIONS for a in model_of(service).operation_names}
    writes = {name for name, action in every.items() if not action.startswith(READS)}
    others = {"create_connection", "delete_item", "search", "sign", "verify"}  # of other things than clients
    assert names_in_use() & writes - emulated - others - REFUSED == set()
