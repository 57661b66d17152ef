# SPDX-License-Identifier: Apache-2.0
"""The actions of real-time endpoints, and InvokeEndpoint, proxied to the container."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from moto.sagemaker.models import FakeEndpoint, sagemaker_backends

from localcloud import faults
from localcloud.clients import client
from localcloud.context import CloudContext
from localcloud.dispatch import Call, ServiceError, invalid, replace_action, state_lock
from localcloud.endpoints import rollout
from localcloud.endpoints.endpoint import IN_PROGRESS, Endpoint
from localcloud.endpoints.fleets import FleetError, plan
from localcloud.home import Home
from localcloud.listing import listed
from localcloud.times import now

LARGEST_BODY = 25 << 20
"""Bytes of a request to a real-time endpoint.
https://docs.aws.amazon.com/sagemaker/latest/dg/hosting-faqs.html
"""

_endpoints: dict[tuple[str, str, str], Endpoint] = {}
_before: dict[str, tuple[dict[str, Any] | None, int]] = {}
"""By ARN the description of before the last order (None: there was no endpoint), and how often it is still given."""
_lock = threading.RLock()
_home: Home


def install(context: CloudContext) -> None:
    """Answer the actions; read back the records of earlier endpoints."""
    global _home
    _home = Home(context.home)
    for action, handler in {
        "CreateEndpoint": _create,
        "UpdateEndpoint": _update,
        "UpdateEndpointWeightsAndCapacities": _rescale,
        "DescribeEndpoint": _describe,
        "ListEndpoints": _list,
        "DeleteEndpoint": _delete,
    }.items():
        replace_action("sagemaker", action, handler)
    replace_action("sagemaker-runtime", "InvokeEndpoint", _invoke)
    for path in sorted(_home.endpoints.glob("*/endpoint.json")):
        endpoint = Endpoint(json.loads(path.read_text()), path.parent, _forget)
        _endpoints[endpoint.account, endpoint.region, endpoint.name] = endpoint


def resume(_: CloudContext) -> None:
    """Start the containers of the endpoints again."""
    for endpoint in list(_endpoints.values()):
        endpoint.resume()


def users_of(account: str, region: str, configuration: str) -> list[str]:
    """Names of the endpoints that serve an endpoint configuration, or are about to; one being deleted does neither.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteEndpointConfig.html
    """
    with _lock:
        own = [each for key, each in _endpoints.items() if key[:2] == (account, region)]
    return [
        each.name
        for each in own
        if each.status != "Deleting"
        and configuration in {(each.record.get(part) or {}).get("config") for part in ("serving", "target")}
    ]


def instances(account: str, region: str) -> list[tuple[str, int]]:
    """Type and number of the instances behind each variant of each endpoint, of a fleet that comes up too."""
    with _lock:
        own = [each for key, each in _endpoints.items() if key[:2] == (account, region) and each.status != "Failed"]
    fleets = [each.record.get(part) for each in own for part in ("serving", "target")]
    return [
        (str(variant["instance_type"]), int(variant["instances"]))
        for fleet in fleets
        for variant in (fleet or {}).get("variants", ())
        if variant["instance_type"]
    ]


def _create(call: Call) -> dict[str, Any]:
    request, name = call.parameters, call.parameters["EndpointName"]
    arn = call.arn(f"endpoint/{name.lower()}")
    target = _plan(call, request["EndpointConfigName"])
    _check_deployment(request.get("DeploymentConfig") or {}, target)
    created = now()
    record = {
        "account": call.account,
        "region": call.region,
        "name": name,
        "arn": arn,
        "status": "Creating",
        "created": created,
        "modified": created,
        "serving": None,
        "target": target,
        "deployment": request.get("DeploymentConfig"),
        "last_deployment": request.get("DeploymentConfig"),
        "tags": request.get("Tags") or [],
    }
    with _lock:
        if (call.account, call.region, name) in _endpoints:
            raise invalid(f'Cannot create already existing endpoint "{arn}".')
        endpoint = Endpoint(record, _directory(call, name), _forget)
        _endpoints[call.account, call.region, name] = endpoint
        _describe_late(endpoint, None)
    _hold_tags(call, record)
    endpoint.create()
    return {"EndpointArn": arn}


def _update(call: Call) -> dict[str, Any]:
    request, endpoint = call.parameters, _find(call)
    target = _plan(call, request["EndpointConfigName"])
    deployment = request.get("DeploymentConfig") or {}
    if request.get("RetainDeploymentConfig") and not deployment:
        deployment = endpoint.record.get("last_deployment") or {}
    with endpoint.lock:
        _refuse_unless_in_service(endpoint)
        serving = endpoint.record["serving"]
        if request.get("RetainAllVariantProperties"):
            excluded = {each["VariantPropertyType"] for each in request.get("ExcludeRetainedVariantProperties") or ()}
            _retain(serving, target, excluded)
        _check_deployment(deployment, target)
        _check_deployment(deployment, serving)
        _refuse_scaled_variants(call, endpoint, target)
        if target["config"] == serving["config"]:
            # "To update an endpoint, you must create a new EndpointConfig" (API_UpdateEndpoint.html).
            message = f'Cannot update endpoint "{endpoint.arn}" to the endpoint configuration that it has.'
            raise invalid(message)
        _describe_late(endpoint, endpoint.description())
        endpoint.update(target, deployment)
    return {"EndpointArn": endpoint.arn}


def _rescale(call: Call) -> dict[str, Any]:
    endpoint = _find(call)
    wishes = {each["VariantName"]: each for each in call.parameters["DesiredWeightsAndCapacities"]}
    with endpoint.lock:
        _refuse_unless_in_service(endpoint)
        serving = endpoint.record["serving"]
        unknown = sorted(set(wishes) - {variant["name"] for variant in serving["variants"]})
        if unknown:
            raise invalid(
                f'The variant name(s) "{unknown[0]}" is/are not present within endpoint configuration '
                f'"{serving["config"]}".'
            )
        endpoint.rescale(wishes)
    return {"EndpointArn": endpoint.arn}


def _describe(call: Call) -> dict[str, Any]:
    """Describe an endpoint; where a test has ordered it, so many times after each order as it was before."""
    endpoint = _find(call)
    with endpoint.lock:
        before, left = _before.get(endpoint.arn, (None, 0))
        if left:
            _before[endpoint.arn] = (before, left - 1)
    if left and before is None:
        raise invalid(f'Could not find endpoint "{endpoint.arn}".')
    return before if left and before else endpoint.description()


def _describe_late(endpoint: Endpoint, before: dict[str, Any] | None) -> None:
    _before[endpoint.arn] = (before, faults.late("sagemaker", "DescribeEndpoint"))


def _list(call: Call) -> dict[str, Any]:
    with _lock:
        own = [each for key, each in _endpoints.items() if key[:2] == (call.account, call.region)]
    fields = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
    summaries = [{field: described[field] for field in fields} for described in (each.description() for each in own)]
    return listed(call.parameters, summaries, "Endpoints", "EndpointName", "EndpointStatus")


def _delete(call: Call) -> dict[str, Any]:
    endpoint = _find(call)
    with endpoint.lock:
        if endpoint.status in IN_PROGRESS:
            raise invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        _refuse_scaled_variants(call, endpoint, None)
        endpoint.delete()
    return {}


def _invoke(call: Call) -> dict[str, Any]:
    request, name = call.parameters, call.parameters["EndpointName"]
    endpoint = _endpoints.get((call.account, call.region, name))
    if endpoint is None or endpoint.status not in ("InService", "Updating", "SystemUpdating", "RollingBack"):
        raise ServiceError("ValidationError", f"Endpoint {name} of account {call.account} not found.")
    body = request.get("Body") or b""
    if isinstance(body, str):
        body = body.encode()
    if len(body) > LARGEST_BODY:
        raise ServiceError(
            "ValidationError", f"Request of {len(body)} bytes exceeds the {LARGEST_BODY} bytes that an endpoint takes."
        )
    passed = {
        "Content-Type": request.get("ContentType"),
        "Accept": request.get("Accept"),
        "X-Amzn-SageMaker-Custom-Attributes": request.get("CustomAttributes"),
        "X-Amzn-SageMaker-Inference-Id": request.get("InferenceId"),
    }
    headers = {header: value for header, value in passed.items() if value}
    try:
        answer = endpoint.invoke(request.get("TargetVariant"), headers, body)
    except KeyError as error:
        raise ServiceError("ValidationError", f"Variant {error} does not exist in endpoint {name}.") from error
    except TimeoutError as error:
        message = (
            "Your invocation timed out while waiting for a response from container primary. Review the latency metrics "
            "for each container in Amazon CloudWatch, resolve the issue, and try again."
        )
        raise _model_error(call, 0, message) from error
    except OSError as error:
        raise _model_error(call, 0, f"The container primary cannot be reached: {error}") from error
    if answer.status >= 400:
        raise _model_error(call, answer.status, answer.body.decode(errors="replace"))
    return {
        "Body": answer.body,
        "ContentType": answer.headers.get("content-type", "application/octet-stream"),
        "InvokedProductionVariant": answer.variant,
        "CustomAttributes": answer.headers.get("x-amzn-sagemaker-custom-attributes"),
    }


def _model_error(call: Call, status: int, message: str) -> ServiceError:
    name, region = call.parameters["EndpointName"], call.region
    side = "client" if 400 <= status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{name}"
    where = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group}"
    return ServiceError(
        "ModelError",
        f'Received {side} error ({status}) from primary with message "{message[:4096]}". See {where} in account '
        f"{call.account} for more information.",
        424,
        OriginalStatusCode=status,
        OriginalMessage=message[:4096],
    )


def _plan(call: Call, configuration: str) -> dict[str, Any]:
    sagemaker = client("sagemaker", call.account, call.region)
    try:
        described = sagemaker.describe_endpoint_config(EndpointConfigName=configuration)
    except ClientError as error:
        arn = call.arn(f"endpoint-config/{configuration.lower()}")
        raise invalid(f'Could not find endpoint configuration "{arn}".') from error
    try:
        return plan(sagemaker, described, secrets.token_hex(4))
    except ClientError as error:
        raise invalid(error.response["Error"]["Message"]) from error
    except FleetError as error:
        raise invalid(str(error)) from error


def _check_deployment(deployment: Mapping[str, Any], target: Mapping[str, Any]) -> None:
    try:
        rollout.check(deployment, sum(variant["instances"] for variant in target["variants"]))
    except rollout.RolloutError as error:
        raise invalid(str(error)) from error


def _refuse_unless_in_service(endpoint: Endpoint) -> None:
    if endpoint.status in IN_PROGRESS:
        raise invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')
    if endpoint.status != "InService":
        raise invalid(f'Cannot update endpoint "{endpoint.arn}" in status {endpoint.status}: delete it.')


def _refuse_scaled_variants(call: Call, endpoint: Endpoint, target: Mapping[str, Any] | None) -> None:
    """A variant that auto scaling manages may neither go nor change its instance type."""
    if endpoint.record["serving"] is None:
        return
    types = {variant["name"]: variant["instance_type"] for variant in endpoint.record["serving"]["variants"]}
    kept = {variant["name"]: variant["instance_type"] for variant in target["variants"]} if target else {}
    changed = [name for name, instance_type in types.items() if kept.get(name) != instance_type]
    if not changed:
        return
    scaling = client("application-autoscaling", call.account, call.region)
    found = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    registered = {each["ResourceId"] for each in found}
    names = [name for name in changed if f"endpoint/{endpoint.name}/variant/{name}" in registered]
    if names:
        raise invalid(
            f'The variant(s) "{names}" must be deregistered as a scalable target with AutoScaling before being removed '
            "or having their instance type updated."
        )


def _retain(serving: Mapping[str, Any], target: dict[str, Any], excluded: set[str]) -> None:
    """What RetainAllVariantProperties keeps, whatever the new configuration says: counts, weights and data capture.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_VariantProperty.html
    """
    if "DataCaptureConfig" in excluded:
        raise invalid("VariantPropertyType DataCaptureConfig is not currently supported.")
    target["data_capture"] = serving["data_capture"]
    present = {variant["name"]: variant for variant in serving["variants"]}
    for variant in target["variants"]:
        old = present.get(variant["name"])
        if old and "DesiredInstanceCount" not in excluded:
            variant["instances"] = old["instances"]
        if old and "DesiredWeight" not in excluded:
            variant["weight"] = old["weight"]


def _hold_tags(call: Call, record: Mapping[str, Any]) -> None:
    """moto's own record of the endpoint carries its tags, for AddTags, ListTags and DeleteTags."""
    with state_lock:
        endpoints = call.backend("sagemaker").endpoints
        endpoints[record["name"]] = FakeEndpoint(  # type: ignore[abstract]  # moto makes them, too
            call.account, call.region, record["name"], record["target"]["config"], [], {}, list(record["tags"])
        )


def _forget(endpoint: Endpoint) -> None:
    with _lock:
        _endpoints.pop((endpoint.account, endpoint.region, endpoint.name), None)
    with state_lock:
        sagemaker_backends[endpoint.account][endpoint.region].endpoints.pop(endpoint.name, None)


def _find(call: Call) -> Endpoint:
    name = call.parameters["EndpointName"]
    endpoint = _endpoints.get((call.account, call.region, name))
    if endpoint is None:
        raise invalid(f'Could not find endpoint "{call.arn(f"endpoint/{name.lower()}")}".')
    return endpoint


def _directory(call: Call, name: str) -> Path:
    """Another account's or region's endpoint of the same name has a directory of its own."""
    plain = _home.endpoints / name
    if (plain / "endpoint.json").exists():
        return _home.endpoints / f"{name}@{call.account}-{call.region}"
    return plain
