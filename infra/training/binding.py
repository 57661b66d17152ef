# SPDX-License-Identifier: Apache-2.0
"""From the committed definition to an environment's: one pure function.

The definition holds stand-ins that say `unbound` and whose they are: `unbound-data-bucket` is where `Resources` has
`data_bucket`. Values may be CloudFormation expressions such as `${DataBucket}`: they are only ever put into strings.
"""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from infra.floor_policy import NamedTestSet
from infra.instance_types import instance_types
from infra.settings import Settings
from infra.training.several_instances import prepare_on_several_instances

HOUR = 60 * 60
# A stand-in and the address that it ends, of an account and a region that nobody has; an image's has a tag besides.
_STAND_IN = re.compile(r"(\b(arn|https|000000000000)[\w:/.-]*[:/])?unbound-(?P<name>[a-z-]+)(:unbound)?")


class BindingError(Exception):
    """The definition and its environment do not fit together."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What the stacks made, as the definition names it.

    Attributes:
        floor_policy: SHA-256 of the environment's gate policy, which names its folder in the bucket.
        key: Of encryption; the definition has no stand-in for it, because whether it stands anywhere is the settings'.
    """

    data_bucket: str
    training_image: str
    inference_image: str
    floor_policy: str
    processing_role: str
    training_role: str
    check_plan: str
    find_champion: str
    publish_dossier: str
    callback_queue: str
    model_package_group: str
    endpoint: str
    key: str


def bind(definition: dict[str, Any], settings: Settings, resources: Resources) -> dict[str, Any]:
    """Return the definition of an environment.

    Args:
        definition: As `pipelines/definition.json` holds it; left as it is.
        settings: Of the environment.
        resources: Names and ARNs, or strings that stand for them.

    Raises:
        BindingError: Names what stayed unbound, or the step that settings know and the definition does not.
    """
    bound = _with_resources(copy.deepcopy(definition), resources)
    if settings.processing.prepare_instance_count > 1:
        bound = prepare_on_several_instances(bound, settings.processing.prepare_instance_count)
    _bind_parameters(bound, settings)
    steps = {step["Name"]: step for step in walk(bound["Steps"])}
    for name, (instance_type, hours) in _processing_jobs(settings).items():
        if name not in steps:
            raise BindingError(f"settings give {name} an instance type, but the definition has no such step")
        arguments = steps[name]["Arguments"]
        _bind_cluster(arguments["ProcessingResources"]["ClusterConfig"], instance_type, settings)
        arguments["StoppingCondition"] = {"MaxRuntimeInSeconds": hours * HOUR}
    if named := settings.floor_policy.test_set:
        _bind_test_set(steps, named)
    for step in steps.values():
        _bind_patience(step.get("RetryPolicies", []), settings)
        if step["Type"] == "Processing":
            _secure_processing(step["Arguments"], settings, resources)
        if step["Type"] == "Training":
            _bind_training(step["Arguments"], settings)
            _secure_training(step["Arguments"], settings, resources)
        if step["Type"] == "RegisterModel":
            _bind_inference(step["Arguments"]["InferenceSpecification"], settings)
    if left := sorted({text for text in _strings(bound) if "unbound" in text}):
        raise BindingError(f"the definition still holds {', '.join(left)}: infra/training/binding.py must replace it")
    return bound


def walk(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield every step of a definition, those inside conditions too."""
    for step in steps:
        yield step
        for branch in ("IfSteps", "ElseSteps"):
            if step["Type"] == "Condition":
                yield from walk(step["Arguments"].get(branch, []))


def _with_resources(definition: dict[str, Any], resources: Resources) -> dict[str, Any]:
    """Replace each stand-in, wherever a string holds it. JSON text is where a bucket hides in `s3://` addresses."""
    values = {name.replace("_", "-"): value for name, value in asdict(resources).items()}
    text = json.dumps(definition)
    said = {match["name"] for match in _STAND_IN.finditer(text)}
    if gone := sorted(f"unbound-{name}" for name in values.keys() - said - {"key"}):
        raise BindingError(f"the definition nowhere says {', '.join(gone)}: run `make definition`")
    bound: dict[str, Any] = json.loads(
        _STAND_IN.sub(lambda match: json.dumps(values.get(match["name"], match[0]))[1:-1], text)
    )
    return bound


def _bind_parameters(definition: dict[str, Any], settings: Settings) -> None:
    parameters = {parameter["Name"]: parameter for parameter in definition["Parameters"]}
    parameters["Architecture"]["DefaultValue"] = settings.training.default_architecture
    parameters["TrainingSteps"]["DefaultValue"] = settings.training.default_steps
    if settings.training.default_batch_size != "auto":
        parameters["TrainingSettings"]["DefaultValue"] += f" batch_size={settings.training.default_batch_size}"
    parameters["TrainingInstanceType"]["DefaultValue"] = settings.training.instance_types[0]
    # Whoever starts an execution chooses among these: a volume key and a budget were decided for them.
    parameters["TrainingInstanceType"]["EnumValues"] = list(settings.training.instance_types)


def _processing_jobs(settings: Settings) -> dict[str, tuple[str, int]]:
    """Return the instance type and the hours of each Processing step."""
    processing = settings.processing
    preparing = ["PrepareDataset", *(["JoinDataset"] if processing.prepare_instance_count > 1 else [])]
    prepare = processing.prepare_instance_type, processing.prepare_maximum_hours
    return {
        **dict.fromkeys(preparing, prepare),
        "MeasureServing": (settings.delivery.instance_type, processing.evaluate_maximum_hours),
        "EvaluateDetector": (processing.evaluate_instance_type, processing.evaluate_maximum_hours),
    }


def _bind_test_set(steps: dict[str, dict[str, Any]], named: NamedTestSet) -> None:
    """Have every model answer the environment's test set, whatever an execution has prepared."""
    for name in ("MeasureServing", "EvaluateDetector"):
        inputs = {each["InputName"]: each for each in steps[name]["Arguments"]["ProcessingInputs"]}
        inputs["test"]["S3Input"]["S3Uri"] = named.uri
    steps["EvaluateDetector"]["Arguments"]["Environment"]["MAPGATE_TEST_SET"] = "environment"


def _bind_cluster(cluster: dict[str, Any], instance_type: str, settings: Settings) -> None:
    cluster["InstanceType"] = instance_type
    cluster["VolumeSizeInGB"] = settings.processing.volume_gigabytes


def _bind_patience(policies: list[dict[str, Any]], settings: Settings) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html."""
    for policy in policies:
        if policy["ExceptionType"] == ["SageMaker.RESOURCE_LIMIT"]:
            policy["ExpireAfterMin"] = settings.quota_wait_minutes


def _secure_processing(arguments: dict[str, Any], settings: Settings, resources: Resources) -> None:
    cluster = arguments["ProcessingResources"]["ClusterConfig"]
    if settings.gives_volume_key(cluster["InstanceType"]):
        cluster["VolumeKmsKeyId"] = resources.key
    arguments["ProcessingOutputConfig"]["KmsKeyId"] = resources.key
    arguments["NetworkConfig"] = {
        "EnableNetworkIsolation": settings.security.network_isolation,
        "EnableInterContainerTrafficEncryption": settings.security.encrypt_between_containers,
        **_vpc(settings),
    }


def _bind_training(arguments: dict[str, Any], settings: Settings) -> None:
    arguments["ResourceConfig"]["VolumeSizeInGB"] = settings.training.volume_gigabytes
    arguments["StoppingCondition"] = {"MaxRuntimeInSeconds": settings.training.maximum_hours * HOUR}
    if settings.training.spot:
        arguments["EnableManagedSpotTraining"] = True
        arguments["StoppingCondition"]["MaxWaitTimeInSeconds"] = settings.training.maximum_wait_hours * HOUR


def _secure_training(arguments: dict[str, Any], settings: Settings, resources: Resources) -> None:
    if settings.gives_volume_key(settings.training.instance_types[0]):
        arguments["ResourceConfig"]["VolumeKmsKeyId"] = resources.key
    arguments["OutputDataConfig"]["KmsKeyId"] = resources.key
    arguments["EnableNetworkIsolation"] = settings.security.network_isolation
    arguments["EnableInterContainerTrafficEncryption"] = settings.security.encrypt_between_containers
    arguments.update(_vpc(settings))


def _bind_inference(specification: dict[str, Any], settings: Settings) -> None:
    specification["SupportedRealtimeInferenceInstanceTypes"] = [settings.delivery.instance_type]
    # Optional for a version of a group, and SageMaker's list of types for it is the shortest:
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_InferenceSpecification.html
    known = instance_types().get(settings.delivery.instance_type)
    if known is not None and "transform" in known.uses:
        specification["SupportedTransformInstanceTypes"] = [settings.delivery.instance_type]
    else:
        specification.pop("SupportedTransformInstanceTypes", None)


def _vpc(settings: Settings) -> dict[str, Any]:
    if settings.network is None:
        return {}
    return {
        "VpcConfig": {
            "SecurityGroupIds": list(settings.network.security_groups),
            "Subnets": list(settings.network.subnets),
        }
    }


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
