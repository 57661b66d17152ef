# SPDX-License-Identifier: Apache-2.0
"""PrepareDataset on several instances: images are dealt out among them, and one step more judges the whole.

Images are dealt by their keys; annotations lie under a prefix of their own and come whole to every instance. Each
leaves its shards and, among its metadata, what JoinDataset needs to judge all of it; `docs/data.md` tells more.
"""

import copy
from typing import Any

# As a reference of another step begins.
_METADATA = "Steps.{}.ProcessingOutputConfig.Outputs['metadata']"


def prepare_on_several_instances(definition: dict[str, Any], instances: int) -> dict[str, Any]:
    """Return a definition whose PrepareDataset runs on so many instances, two or more, followed by JoinDataset.

    Whatever took PrepareDataset's metadata takes JoinDataset's, and so waits for the whole to be judged.

    Args:
        definition: Of one instance; left as it is.
        instances: How many.
    """
    steps = [_redirected(step) for step in definition["Steps"]]
    at = [step["Name"] for step in steps].index("PrepareDataset")
    steps[at : at + 1] = [_dealt_out(steps[at], instances), _join(steps[at])]
    _written_by_join(steps)
    optional = next(parameter for parameter in definition["Parameters"] if parameter["Name"] == "LabelMapUri")
    return {
        **definition,
        "Parameters": [*definition["Parameters"], {**optional, "Name": "AnnotationsUri"}],
        "Steps": steps,
    }


def _dealt_out(alone: dict[str, Any], instances: int) -> dict[str, Any]:
    """PrepareDataset on its share of the images; its metadata are parts that only JoinDataset reads."""
    prepare = copy.deepcopy(alone)
    arguments = prepare["Arguments"]
    arguments["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = instances
    images = _named(arguments["ProcessingInputs"], "InputName", "dataset")
    arguments["ProcessingInputs"].append(_input("annotations", {"Get": "Parameters.AnnotationsUri"}, images))
    images["S3Input"]["S3DataDistributionType"] = "ShardedByS3Key"
    metadata = _named(arguments["ProcessingOutputConfig"]["Outputs"], "OutputName", "metadata")
    metadata["S3Output"]["S3Uri"]["Std:Join"]["Values"][-1] = "parts"
    return prepare


def _written_by_join(steps: list[dict[str, Any]]) -> None:
    """Tell whoever asks which job wrote the metadata that it was JoinDataset's."""
    for step in steps:
        arguments = step["Arguments"]
        if isinstance(arguments, dict) and "metadata_job" in arguments:
            arguments["metadata_job"] = {"Get": "Steps.JoinDataset.ProcessingJobArn"}
        if step["Type"] == "Condition":
            for branch in ("IfSteps", "ElseSteps"):
                _written_by_join(arguments.get(branch, []))


def _join(alone: dict[str, Any]) -> dict[str, Any]:
    """JoinDataset: PrepareDataset's image, roles and retries, on one instance, without an image of the data set."""
    join = copy.deepcopy(alone)
    join["Name"] = "JoinDataset"
    arguments = join["Arguments"]
    arguments["AppSpecification"]["ContainerEntrypoint"][-1] = "join"
    config = _named(arguments["ProcessingInputs"], "InputName", "config")
    parts = {"Get": f"{_METADATA.format('PrepareDataset')}.S3Output.S3Uri"}
    arguments["ProcessingInputs"] = [_input("metadata", parts, config), config]
    outputs = arguments["ProcessingOutputConfig"]
    outputs["Outputs"] = [_named(outputs["Outputs"], "OutputName", "metadata")]
    return join


def _input(name: str, uri: dict[str, str], like: dict[str, Any]) -> dict[str, Any]:
    place = {"LocalPath": f"/opt/ml/processing/input/{name}", "S3Uri": uri}
    return {"InputName": name, "S3Input": {**like["S3Input"], **place}}


def _named(items: list[dict[str, Any]], key: str, name: str) -> dict[str, Any]:
    return next(item for item in items if item[key] == name)


def _redirected(value: Any) -> Any:
    """The same, with references to the metadata of the whole."""
    if isinstance(value, str):
        return value.replace(_METADATA.format("PrepareDataset"), _METADATA.format("JoinDataset"))
    if isinstance(value, dict):
        return {key: _redirected(item) for key, item in value.items()}
    return [_redirected(item) for item in value] if isinstance(value, list) else value
