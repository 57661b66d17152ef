# SPDX-License-Identifier: Apache-2.0
"""What whoever reads a verdict must know besides: who chose the test set, what was left out of it, what it can tell."""

from collections.abc import Iterator

from training_src.evaluation import schema
from training_src.evaluation.comparison import OVERALL, CommonClasses
from training_src.evaluation.exclusion import LEAST_GROUPS
from training_src.evaluation.policy import GatePolicy


def notes(
    dataset: schema.ScoredDataset,
    resolution: schema.Resolution,
    policy: GatePolicy,
    champion: CommonClasses | None,
    sequences: int,
) -> Iterator[str]:
    """A sentence each.

    Args:
        dataset: What was scored.
        resolution: What it can tell.
        policy: The rules.
        champion: Which classes what serves has, too; None where nothing does.
        sequences: How many sequences the test images are of, images of none counted one by one.
    """
    if dataset.chosen_by == "execution":
        yield f"The execution chose its own test set of {dataset.images} images{_overlap(dataset, champion)}."
    if champion is not None and champion.missing:
        yield f"The challenger has not the champion's classes {', '.join(champion.missing)}: they are not compared."
    if dataset.left_out.images:
        by = ", ".join(f"{who} {images}" for who, images in dataset.left_out.by.items())
        yield (
            f"{dataset.left_out.images} test images of {dataset.left_out.groups} groups are left out: they were learnt "
            f"from ({by})."
        )
    if dataset.unknown_ancestors:
        yield (
            f"Nobody knows the images that {', '.join(dataset.unknown_ancestors)} learnt from, so none of them is left "
            "out."
        )
    if sequences < min(LEAST_GROUPS, dataset.images):
        yield (
            f"The test images are of so few sequences ({sequences}) that intervals are drawn over images, and are "
            "narrower than what is known."
        )
    yield from _resolution(resolution, policy)


def _overlap(dataset: schema.ScoredDataset, champion: CommonClasses | None) -> str:
    if champion is None:
        return ""
    shared = dataset.overlap_with_champion
    if shared is None:
        return ", of which nobody knows how many are in the champion's"
    return f", of which {shared.images} ({shared.share:.0%}) are in the champion's"


def _resolution(resolution: schema.Resolution, policy: GatePolicy) -> Iterator[str]:
    smallest, needed = resolution.smallest_difference.get(OVERALL), resolution.images_needed.get(OVERALL)
    if smallest is None:
        return
    told = f"This test set shows a fall of {smallest:.3f} mAP in 8 of 10 cases"
    if needed is not None and policy.champion is not None:
        told += f"; {policy.champion.greatest_fall[OVERALL]:g} would need {needed} such images"
    yield f"{told}."
