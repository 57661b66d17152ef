# SPDX-License-Identifier: Apache-2.0
"""What a test set must hold for a policy to judge by it, whatever the detector: counted before anything is trained."""

from collections.abc import Iterator, Mapping

from training_src.class_names import look_alike
from training_src.evaluation.policy import GatePolicy
from training_src.evaluation.rules import Rule, count_rule, statement


def support_rules(images: float | None, support: Mapping[str, float | None], policy: GatePolicy) -> Iterator[Rule]:
    """The rules on counts.

    Args:
        images: Test images.
        support: Boxes to be found in them of every class of the label map, by name.
        policy: The rules.
    """
    yield count_rule("support.images", policy.support.images, images, "The test set", "images")
    yield from class_name_rules(support, policy)
    for name, boxes in support.items():
        if is_asked(name, boxes, policy):
            least = policy.support.boxes_per_class
            yield count_rule(f"support[{name}]", least, boxes, f'Class "{name}"', "boxes in the test set")


def class_name_rules(names: Mapping[str, object], policy: GatePolicy) -> Iterator[Rule]:
    """A failed rule for each class that the policy names and the label map does not have."""
    named = {*policy.classes, *policy.exempt_classes, *policy.exempt_without_boxes, *policy.recall}
    for name in sorted(named - set(names)):
        sentence = f'The policy names a class "{name}" that the label map does not have.'
        if (found := next((other for other in names if look_alike(name, other)), None)) is not None:
            sentence += (
                f' It has "{found}", which looks like it and is written with other characters ({name!a}, {found!a}).'
            )
        yield statement(f"class[{name}]", False, sentence)


def is_exempt(name: str, boxes: float | None, policy: GatePolicy) -> bool:
    """Whether nothing is asked of a class, but what the policy asks of it by its name."""
    return name in policy.exempt_classes or (name in policy.exempt_without_boxes and boxes == 0)


def is_asked(name: str, boxes: float | None, policy: GatePolicy) -> bool:
    """Whether a class needs boxes."""
    return not is_exempt(name, boxes, policy) or bool(policy.classes.get(name)) or name in policy.recall
