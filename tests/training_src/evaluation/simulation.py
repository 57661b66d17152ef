# SPDX-License-Identifier: Apache-2.0
"""Detectors whose truth is known: drawn ones, and real ones whose images are drawn again.

A drawn scene has three classes and 3.1 boxes an image. Every box is as hard as its image and itself are, for every
detector, which adds chance of its own: so two detectors find the same boxes hard, as two trainings on one data set do.
The standard deviation of mAP over test sets of 120 images is 0.020.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training_src.evaluation import comparison
from training_src.evaluation.bootstrap import Resampled, difference, draw, mean_over, weighted
from training_src.evaluation.boxes import Detections, Floats, GroundTruth
from training_src.evaluation.comparison import CommonClasses, ComparedEvidence, comparison_rules
from training_src.evaluation.matches import ClassMatches, Matches, SizeMatches, match
from training_src.evaluation.policy import ChampionRule
from training_src.evaluation.rules import Rule

RECORDED = Path(__file__).with_name("recorded") / "demo_detections.npz"
LABELS = {1: "vehicle", 2: "pedestrian", 4: "cyclist"}
CLASSES = (1, 2, 3)
BOXES_AN_IMAGE = 3.1
WORSE = -0.165
"""How much less able a drawn detector is whose mAP is worse by 0.05."""
THINNED = {"ab": 0.11, "cd": 0.13}
"""What of its hits a real detector loses to be worse by 0.05."""
RULE = ChampionRule({"mAP": 0.025})
RESAMPLES = 300


@dataclass(frozen=True)
class _Scene:
    """What all detectors have in common: columns of boxes and of places where nothing is but may seem to be."""

    images: int
    box_image: NDArray[np.int64]
    box_class: NDArray[np.int64]
    ease: Floats
    alarm_image: NDArray[np.int64]
    alarm_class: NDArray[np.int64]
    alarm_ease: Floats


def drawn(images: int, random: np.random.Generator, shifts: Sequence[float] = (0.0, 0.0)) -> list[Matches]:
    """What detectors find in the same drawn images; a lower shift is a worse detector."""
    box_image = np.repeat(np.arange(images), random.poisson(BOXES_AN_IMAGE, images))
    image_ease = random.normal(0, 0.2, images)
    alarm_image = np.repeat(np.arange(images), random.poisson(1.5 * np.exp(-0.3 * image_ease)))
    scene = _Scene(
        images,
        box_image,
        random.choice(CLASSES, len(box_image)),
        1.1 + image_ease[box_image] + random.normal(0, 0.9, len(box_image)),
        alarm_image,
        random.choice(CLASSES, len(alarm_image)),
        random.normal(-0.5, 0.8, len(alarm_image)),
    )
    return [_detected(scene, shift, random) for shift in shifts]


def _detected(scene: _Scene, shift: float, random: np.random.Generator) -> Matches:
    boxes, alarms = len(scene.ease), len(scene.alarm_ease)
    able = scene.ease + shift + random.normal(0, 0.5, boxes)
    place = able + random.normal(0, 0.4, boxes)
    matched = np.hstack([place > (-0.2 + 0.25 * np.arange(10))[:, None], np.zeros((10, alarms), bool)])
    scores = np.concatenate([able + random.normal(0, 0.5, boxes), scene.alarm_ease + random.normal(0, 0.5, alarms)])
    image = np.concatenate([scene.box_image, scene.alarm_image])
    kind = np.concatenate([scene.box_class, scene.alarm_class])
    seen = np.concatenate([able > -0.7, np.ones(alarms, bool)])
    found = {}
    for number in CLASSES:
        mine = np.flatnonzero((kind == number) & seen)
        mine = mine[np.argsort(-scores[mine], kind="stable")]
        truths = scene.box_image[scene.box_class == number]
        found[number] = _class_matches(scene.images, image[mine], scores[mine], matched[:, mine], truths)
    return Matches(scene.images, found)


def _class_matches(
    images: int, image: NDArray[np.int64], scores: Floats, matched: NDArray[np.bool_], truths: NDArray[np.int64]
) -> ClassMatches:
    nothing = np.zeros_like(matched)
    return ClassMatches(
        images, image, scores, np.zeros(len(image), np.int64), {"all": SizeMatches(matched, nothing, truths)}
    )


def recorded() -> tuple[GroundTruth, dict[str, Detections]]:
    """Four trainings of the demo's detector on one data set, and what is in its 120 test images."""
    with np.load(RECORDED) as arrays:
        boxes = {name: arrays[f"{name}_boxes"].astype(np.float64) / 65535 for name in ("truth", *"abcd")}
        truth = GroundTruth(
            arrays["sizes"].astype(np.int64),
            arrays["truth_image"].astype(np.int64),
            boxes["truth"],
            arrays["truth_class"].astype(np.int64),
            np.zeros(len(boxes["truth"]), bool),
        )
        found = {
            name: Detections(
                arrays[f"{name}_image"].astype(np.int64),
                boxes[name],
                arrays[f"{name}_score"].astype(np.float64),
                arrays[f"{name}_class"].astype(np.int64),
            )
            for name in "abcd"
        }
    return truth, found


def drawn_again(
    one: Detections, other: Detections, images: NDArray[np.int64], truth: GroundTruth, random: np.random.Generator
) -> tuple[Matches, Matches]:
    """Two equal detectors on images that are drawn out of the recorded ones.

    In every image it is chance whose detections are whose: so both are equal in truth, whichever of the two real ones
    is better, and differ image by image as two trainings do.
    """
    swapped = random.random(len(images)) < 0.5
    drawn_truth = _again(truth, images)
    pair = []
    for flipped in (swapped, ~swapped):
        chosen = zip(images.tolist(), flipped.tolist(), strict=True)
        parts = [(_rows(other if flip else one, at), new) for new, (at, flip) in enumerate(chosen)]
        pair.append(
            Detections(
                np.concatenate([np.full(len(part[1]), new) for part, new in parts]),
                np.concatenate([part[0] for part, _ in parts]),
                np.concatenate([part[1] for part, _ in parts]),
                np.concatenate([part[2] for part, _ in parts]),
            )
        )
    first, second = (match(drawn_truth, found, LABELS) for found in pair)
    return first, second


def _rows(found: Detections, image: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    mine = found.image_index == image
    return found.boxes[mine], found.scores[mine], found.classes[mine]


def _again(truth: GroundTruth, images: NDArray[np.int64]) -> GroundTruth:
    rows = [np.flatnonzero(truth.image_index == at) for at in images]
    kept = np.concatenate(rows)
    index = np.repeat(np.arange(len(images)), [len(one) for one in rows])
    return GroundTruth(truth.sizes[images], index, truth.boxes[kept], truth.classes[kept], truth.ignored[kept])


def thinned(found: Matches, share: float, random: np.random.Generator) -> Matches:
    """A worse detector: it misses this share of what it found."""
    classes = {}
    for number, one in found.classes.items():
        kept = ~(one.matched[0] & (random.random(len(one.scores)) < share))
        sizes = one.sizes["all"]
        classes[number] = ClassMatches(
            one.images,
            one.image_index[kept],
            one.scores[kept],
            one.rank[kept],
            {"all": SizeMatches(sizes.matched[:, kept], sizes.ignored[:, kept], sizes.truth_images)},
        )
    return Matches(found.images, classes)


def value(found: Matches, name: str = "mAP") -> float:
    """One of COCO's numbers on the images as they are."""
    return float(once(found).metrics[name][0])


def once(found: Matches) -> Resampled:
    """All numbers on the images as they are."""
    return weighted(found, np.ones((1, found.images), np.uint8), sizes=("all",))


def champion_rules(challenger: Matches, champion: Matches, resamples: int = RESAMPLES) -> list[Rule]:
    """The whole champion rule of the default policy, by the paired bootstrap."""
    draws = draw(challenger.images, resamples=resamples)
    ours, theirs = (weighted(one, draws, sizes=("all",)) for one in (challenger, champion))
    now = once(challenger), once(champion)
    whole = _change(*(one.metrics["mAP"] for one in (*now, ours, theirs)))
    classes = {
        str(number): _change(*(mean_over(one, [number], "AP") for one in (*now, ours, theirs)))
        for number in challenger.classes
    }
    evidence = ComparedEvidence(
        metrics={"mAP": float(now[1].metrics["mAP"][0])},
        change={"mAP": whole},
        per_class_change=classes,
        classes=CommonClasses(tuple(classes)),
        test_set="t",
    )
    return list(comparison_rules(evidence, RULE, "t"))


def _change(ours: Floats, theirs: Floats, samples: Floats, others: Floats) -> comparison.Change:
    found = difference(samples, others)
    assert found is not None
    return comparison.Change(float(ours[0] - theirs[0]), found.standard_deviation, found.upper)
