# SPDX-License-Identifier: Apache-2.0
"""Service Quotas' actions for SageMaker's instances, and ResourceLimitExceeded where a quota is used up.

`quotas.json` in the cloud's directory holds what differs from a grown account, by name: `{"ml.p3.2xlarge for training
job usage": 0}`. It is read at each look, so whoever writes it sees a new account's refusals at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localcloud.context import CloudContext
from localcloud.dispatch import Call, ServiceError, add_check, replace_action, state_lock
from localcloud.endpoints import actions as endpoints
from localcloud.home import read_json, write_json
from localcloud.jobs import actions as jobs
from localcloud.listing import paged
from localcloud.quotas.limits import GROWN, code_of, every_name, of_job, of_variants, refusal

SERVICE = "sagemaker"
QUOTAS = "quotas.json"

_file: Path


def install(context: CloudContext) -> None:
    """Answer the actions; look at the quotas before each job and endpoint."""
    global _file
    _file = context.home / QUOTAS
    for action, handler in {
        "GetServiceQuota": _get,
        "GetAWSDefaultServiceQuota": _get,
        "ListServiceQuotas": _list,
        "ListAWSDefaultServiceQuotas": _list,
        "RequestServiceQuotaIncrease": _increase,
    }.items():
        replace_action("service-quotas", action, handler)
    add_check("sagemaker", _check)


def _check(action: str, call: Call) -> None:
    asked = _asked(action, call)
    if not asked:
        return
    used, limits = _used(call), _limits()
    for name, instances in asked.items():
        if sentence := refusal(name, limits.get(name, GROWN), used[name], instances):
            raise ServiceError("ResourceLimitExceeded", sentence)


def _asked(action: str, call: Call) -> dict[str, int]:
    """What a request adds; an update brings a whole fleet up beside the one that serves.

    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html
    """
    if action in ("CreateTrainingJob", "CreateProcessingJob", "CreateTransformJob"):
        name, instances = of_job(action.removeprefix("Create").removesuffix("Job"), call.parameters)
        return {name: instances}
    if action in ("CreateEndpoint", "UpdateEndpoint"):
        with state_lock:
            configuration = call.backend("sagemaker").endpoint_configs.get(call.parameters["EndpointConfigName"])
            variants = list(configuration.production_variants) if configuration else []
        return of_variants(
            [
                (each["InstanceType"], each.get("InitialInstanceCount", 1))
                for each in variants
                if each.get("InstanceType")
            ]
        )
    return {}


def _used(call: Call) -> Counter[str]:
    used: Counter[str] = Counter()
    for kind, description in jobs.running(call.account, call.region):
        name, instances = of_job(kind, description)
        used[name] += instances
    used.update(of_variants(endpoints.instances(call.account, call.region)))
    return used


def _limits() -> dict[str, int]:
    return dict(read_json(_file) or {})


def _get(call: Call) -> dict[str, Any]:
    _refuse_unless_ours(call)
    limits = _limits()
    for name in _known(limits):
        if code_of(name) == call.parameters["QuotaCode"]:
            return {"Quota": _described(call, name, limits)}
    raise ServiceError("NoSuchResourceException", "The request failed because the specified quota code does not exist.")


def _list(call: Call) -> dict[str, Any]:
    _refuse_unless_ours(call)
    limits = _limits()
    return paged(call.parameters, [_described(call, name, limits) for name in _known(limits)], "Quotas")


def _increase(call: Call) -> dict[str, Any]:
    """AWS looks at it for hours or days; here it is granted at once."""
    quota = _get(call)["Quota"]
    desired = call.parameters["DesiredValue"]
    if desired <= quota["Value"]:
        message = "The quota value you provided must be greater than the current quota value."
        raise ServiceError("IllegalArgumentException", message)
    write_json(_file, _limits() | {quota["QuotaName"]: int(desired)})
    return {
        "RequestedQuota": {
            "Id": code_of(f"{quota['QuotaName']} {desired}"),
            "ServiceCode": SERVICE,
            "QuotaCode": quota["QuotaCode"],
            "QuotaName": quota["QuotaName"],
            "DesiredValue": desired,
            "Status": "APPROVED",
        }
    }


def _known(limits: Mapping[str, int]) -> list[str]:
    return sorted({*every_name(), *limits})


def _described(call: Call, name: str, limits: Mapping[str, int]) -> dict[str, Any]:
    code = code_of(name)
    return {
        "ServiceCode": SERVICE,
        "ServiceName": "Amazon SageMaker",
        "QuotaArn": f"arn:aws:servicequotas:{call.region}:{call.account}:{SERVICE}/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": float(limits.get(name, GROWN)),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def _refuse_unless_ours(call: Call) -> None:
    asked = call.parameters["ServiceCode"]
    if asked != SERVICE:
        message = f"The emulated cloud has quotas of {SERVICE} alone, not of {asked}."
        raise ServiceError("NoSuchResourceException", message)
