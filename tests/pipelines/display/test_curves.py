# SPDX-License-Identifier: Apache-2.0
"""Curves of several trainings in one picture."""

from __future__ import annotations

import numpy as np

from pipelines.client.curves import Curves
from pipelines.display import curves
from pipelines.display.pictures import PALETTE

LOG = [
    "preparing",
    "step=1/200 loss=1.8 classification_loss=1 learning_rate=0.01000 images_per_second=9.1 eta_seconds=85",
    "step=100/200 loss=0.9 classification_loss=1 learning_rate=0.02000 images_per_second=9.1 eta_seconds=42",
    "validation step=100 mAP=0.2000 mAP_50=0.4000 loss=1.1000",
    # It was interrupted, and went on from an earlier checkpoint.
    "step=100/200 loss=0.8 classification_loss=1 learning_rate=0.02000 images_per_second=9.1 eta_seconds=42",
    "step=200/200 loss=nan learning_rate=0.00000 images_per_second=9.1 eta_seconds=0",
    "validation step=200 mAP=0.3000 mAP_50=0.5000 loss=0.9000",
]


def test_a_log_is_read_by_step_and_the_last_word_counts() -> None:
    read = Curves.read(LOG)

    assert read.training["loss"][:2] == [(1, 1.8), (100, 0.8)]
    assert read.training["learning_rate"] == [(1, 0.01), (100, 0.02), (200, 0.0)]
    assert read.validation["mAP"] == [(100, 0.2), (200, 0.3)]
    assert read.validation["loss"] == [(100, 1.1), (200, 0.9)]


def test_each_training_has_its_colour_in_each_panel() -> None:
    one, other = Curves.read(LOG), Curves.read(line.replace("loss=0.8", "loss=0.4") for line in LOG)
    picture = curves.draw({"a1": one, "b2": other, "c3": Curves()})

    assert picture is not None
    below = picture[16 + 28 * 3 :]
    panels = np.array_split(below, len(below) // curves.PANEL)
    assert len(panels) == 4
    for colour in PALETTE[:2]:
        assert (panels[0] == colour).all(axis=-1).any()
    assert not (below == PALETTE[2]).all(axis=-1).any()


def test_trainings_without_a_log_make_no_picture() -> None:
    assert curves.draw({"a1": Curves()}) is None


def test_one_point_and_one_value_are_drawn() -> None:
    assert curves.draw({"a1": Curves({"loss": [(0, 0.0)]}, {})}) is not None
    assert curves.draw({"a1": Curves({"loss": [(1, float("nan"))]}, {})}) is not None
