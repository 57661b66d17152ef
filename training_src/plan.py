# SPDX-License-Identifier: Apache-2.0
"""What needs no model is judged before a model is paid for: the gate's policy against the data set, and the settings.

Three ask: `mapgate data check` and `mapgate run` on a laptop, and the pipeline's step CheckPlan, between PrepareDataset
and TrainDetector. The last is a Lambda function, seconds instead of a job's minutes, so what is imported from here on
needs PyYAML and the standard library alone; `infra/training/check_plan_asset.py` lists the files that it carries.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from containers.contract.pictures import MAX_BODY_BYTES, MAX_PIXELS
from training_src.evaluation.policy import GatePolicy
from training_src.evaluation.support import class_name_rules, support_rules
from training_src.training.written_settings import settings_faults

MEGA = 10**6


def judge_settings(training_settings: str, map_threshold: float) -> list[str]:
    """What is wrong with the parameters TrainingSettings and MapThreshold, a sentence each."""
    faults = settings_faults(training_settings)
    if not 0 <= map_threshold <= 1:
        faults.append(f"MapThreshold is {map_threshold:g}; give a number from 0 to 1.")
    return faults


def judge_dataset(policy: GatePolicy, dataset: Mapping[str, Any]) -> list[str]:
    """Why no detector of a data set could pass the gate or be measured, a sentence each.

    Args:
        policy: The gate's.
        dataset: The content of `dataset.json`.
    """
    try:
        test = dataset["splits"]["test"]
        classes = test["boxes_to_find_per_class"]
        # Where the policy names the test set, the execution's own test split is not what is judged by.
        counted = policy.test_set is None
        rules = support_rules(test["images"], classes, policy) if counted else class_name_rules(classes, policy)
        faults = [rule.sentence for rule in rules if not rule.passed]
        return [*faults, *(_size_faults(test["largest_image"], test["largest_file"]) if counted else ())]
    except (KeyError, TypeError) as error:
        return [f"dataset.json does not tell what the test split holds ({error!r}); prepare the data set again."]


def judge_class_names(policy: GatePolicy, names: Sequence[str]) -> list[str]:
    """Which classes a policy names that a label map does not have, where nothing more of the data set is known yet."""
    return [rule.sentence for rule in class_name_rules(dict.fromkeys(names), policy)]


def _size_faults(image: Mapping[str, Any] | None, file: Mapping[str, Any] | None) -> Iterator[str]:
    """Test images are answered by the server, which refuses what nobody should send to it."""
    if image and image["width"] * image["height"] > MAX_PIXELS:
        pixels = image["width"] * image["height"] / MEGA
        yield (
            f"The test image {image['name']} has {image['width']} x {image['height']} pixels, {pixels:.0f} million; "
            f"the server takes {MAX_PIXELS / MEGA:.0f}: scale the images down, boxes too."
        )
    if file and file["bytes"] > MAX_BODY_BYTES:
        yield (
            f"The test image {file['name']} has {file['bytes'] / MEGA:.0f} MB; a request to an endpoint has at most "
            f"{MAX_BODY_BYTES / MEGA:.0f}: encode it as JPEG, or scale it down."
        )
