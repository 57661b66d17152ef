# SPDX-License-Identifier: Apache-2.0
"""What SageMaker refuses although its service model does not say so, each with the address where it says so."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.definitions.expressions import is_expression
from localcloud.definitions.instance_types import clusters, has_local_nvme
from pipelines.check.fault import Fault

Step = Mapping[str, Any]

# https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html
RETRYABLE = frozenset({"Model", "Processing", "RegisterModel", "Training", "Transform", "Tuning"})
STEP_EXCEPTIONS = frozenset({"Step.SERVICE_FAULT", "Step.THROTTLING"})
JOB_EXCEPTIONS = frozenset({"SageMaker.CAPACITY_ERROR", "SageMaker.JOB_INTERNAL_ERROR", "SageMaker.RESOURCE_LIMIT"})
JOBS = frozenset({"Processing", "Training", "Transform", "Tuning"})
MOST_ATTEMPTS = 20
LONGEST_RETRY_MINUTES = 14400
# https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-caching.html
UNCACHEABLE = frozenset({"Condition", "Endpoint", "EndpointConfig", "Fail", "Model", "RegisterModel"})
DURATION = re.compile(r"P(?=.)([0-9]+[YMWD])*(T([0-9]+[HMS])+)?", re.IGNORECASE)


def refusals(step: Step, definition: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what SageMaker would refuse of a step besides the form of its arguments."""
    yield from _volume_keys(step, definition)
    yield from _spot(step)
    yield from _retry_policies(step)
    yield from _cache(step)


def _volume_keys(step: Step, definition: Mapping[str, Any]) -> Iterator[Fault]:
    for path, cluster in clusters(step.get("Arguments", {})):
        if not cluster.get("VolumeKmsKeyId"):
            continue
        refused = [kind for kind in _instance_types(cluster.get("InstanceType"), definition) if has_local_nvme(kind)]
        if refused:
            yield Fault(
                step["Name"],
                f"Arguments.{path}.VolumeKmsKeyId",
                cluster["VolumeKmsKeyId"],
                f"must be left out for {refused[0]}, which encrypts its local NVMe storage itself",
            )


def _instance_types(value: Any, definition: Mapping[str, Any]) -> list[str]:
    """Return every instance type that an execution may choose."""
    if not is_expression(value):
        return [str(value)]
    name = str(value.get("Get", "")).removeprefix("Parameters.")
    for parameter in definition.get("Parameters", []):
        if parameter["Name"] == name:
            return [str(each) for each in (parameter.get("DefaultValue"), *parameter.get("EnumValues", [])) if each]
    return []


def _spot(step: Step) -> Iterator[Fault]:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training.html."""
    if step["Type"] != "Training":
        return
    arguments = step.get("Arguments", {})
    running = _at(arguments, "StoppingCondition", "MaxRuntimeInSeconds")
    waiting = _at(arguments, "StoppingCondition", "MaxWaitTimeInSeconds")
    path = "Arguments.StoppingCondition.MaxWaitTimeInSeconds"
    if arguments.get("EnableManagedSpotTraining") is True and waiting is None:
        yield Fault(step["Name"], path, None, "is required with EnableManagedSpotTraining")
    elif arguments.get("EnableManagedSpotTraining") is not True and waiting is not None:
        yield Fault(step["Name"], path, waiting, "is for EnableManagedSpotTraining only")
    elif isinstance(running, int) and isinstance(waiting, int) and waiting < running:
        yield Fault(step["Name"], path, waiting, f"must be at least MaxRuntimeInSeconds, {running}")


def _retry_policies(step: Step) -> Iterator[Fault]:
    policies = step.get("RetryPolicies", [])
    if policies and step["Type"] not in RETRYABLE:
        yield Fault(step["Name"], "RetryPolicies", policies, f"a {step['Type']} step takes none")
        return
    allowed = STEP_EXCEPTIONS | (JOB_EXCEPTIONS if step["Type"] in JOBS else frozenset())
    for index, policy in enumerate(policies):
        where = f"RetryPolicies[{index}]"
        for exception in policy.get("ExceptionType", []) or [None]:
            if exception not in allowed:
                rule = f"must be one of {', '.join(sorted(allowed))}"
                yield Fault(step["Name"], f"{where}.ExceptionType", exception, rule)
        if ("MaxAttempts" in policy) == ("ExpireAfterMin" in policy):
            yield Fault(step["Name"], where, policy, "takes either MaxAttempts or ExpireAfterMin")
        for member, least, most in (
            ("MaxAttempts", 1, MOST_ATTEMPTS),
            ("ExpireAfterMin", 1, LONGEST_RETRY_MINUTES),
            ("IntervalSeconds", 0, None),
            ("BackoffRate", 0, None),
        ):
            value = policy.get(member, least)
            if not isinstance(value, int | float) or value < least or (most is not None and value > most):
                rule = f"must be a number of at least {least}" + (f" and at most {most}" if most else "")
                yield Fault(step["Name"], f"{where}.{member}", value, rule)


def _cache(step: Step) -> Iterator[Fault]:
    cache = step.get("CacheConfig")
    if cache is None:
        return
    if step["Type"] in UNCACHEABLE:
        yield Fault(step["Name"], "CacheConfig", cache, f"a {step['Type']} step cannot be cached")
    elif not isinstance(cache.get("Enabled"), bool):
        yield Fault(step["Name"], "CacheConfig.Enabled", cache.get("Enabled"), "is required: true or false")
    elif cache["Enabled"] and not DURATION.fullmatch(str(cache.get("ExpireAfter"))):
        rule = "is required: an ISO 8601 duration such as P30D"
        yield Fault(step["Name"], "CacheConfig.ExpireAfter", cache.get("ExpireAfter"), rule)


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
