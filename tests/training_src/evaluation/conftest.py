# SPDX-License-Identifier: Apache-2.0
"""Random scenes: ground truth, and what an imperfect detector would find in it."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from training_src.evaluation.boxes import Detections, GroundTruth

LABELS = {1: "vehicle", 2: "pedestrian", 4: "cyclist"}
Scenes = Callable[..., tuple[GroundTruth, Detections]]


@pytest.fixture
def labels() -> dict[int, str]:
    """A label map whose ids have a gap."""
    return dict(LABELS)


@pytest.fixture
def scenes() -> Scenes:
    """Makes ground truth and detections of `images` images from a seed."""

    def make(
        seed: int = 0, images: int = 30, shift: float = 0.02, ignored: float = 0.1
    ) -> tuple[GroundTruth, Detections]:
        random = np.random.default_rng(seed)
        truths, classes, flags, found, scores, guesses = [], [], [], [], [], []
        sizes = [(int(height), int(width)) for height, width in random.integers(200, 700, (images, 2))]
        for _ in range(images):
            count = int(random.integers(0, 9))
            corner, extent = random.uniform(0, 0.6, (count, 2)), random.uniform(0.01, 0.4, (count, 2))
            boxes = np.hstack([corner, corner + extent])
            kinds = random.choice(list(LABELS), count)
            truths.append(boxes)
            classes.append(kinds)
            flags.append(random.random(count) < ignored)
            seen = random.random(count) < 0.85
            noise = int(random.integers(0, 4))
            corner, extent = random.uniform(0, 0.6, (noise, 2)), random.uniform(0.01, 0.4, (noise, 2))
            near = boxes[seen] + random.normal(0, shift, (int(seen.sum()), 4)) * np.tile(extents(boxes[seen]), 2)
            near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
            found.append(np.clip(np.vstack([near, np.hstack([corner, corner + extent])]), 0, 1))
            confused = np.where(random.random(seen.sum()) < 0.1, random.choice(list(LABELS), seen.sum()), kinds[seen])
            guesses.append(np.concatenate([confused, random.choice(list(LABELS), noise)]))
            scores.append(np.concatenate([random.uniform(0.3, 1, seen.sum()), random.uniform(0, 0.7, noise)]))
        return GroundTruth.from_images(sizes, truths, classes, flags), Detections.from_images(found, scores, guesses)

    return make


def extents(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height and width, shape `(m, 2)`, of boxes `(m, 4)`."""
    return np.diff(boxes.reshape(-1, 2, 2), axis=1)[:, 0]
