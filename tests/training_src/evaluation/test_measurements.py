# SPDX-License-Identifier: Apache-2.0
"""What MeasureServing left, whole and damaged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training_src.evaluation.errors import EvaluationError
from training_src.evaluation.measurements import Measurements, read_measurements

TIMINGS = {"images_per_second": 11.0, "latency_milliseconds": {"p50": 90.0, "p90": -1}, "load_seconds": "soon"}


def measured(folder: Path, *, champion: object = None, timings: object = None, **index: Any) -> Measurements:
    """Two images answered by both models, and what was read of that."""
    for who in ("challenger", "champion"):
        runtime = folder / who / "tensorflow"
        runtime.mkdir(parents=True)
        np.savez(
            runtime / "detections.npz",
            image_index=np.array([1]),
            boxes=np.array([[0.1, 0.2, 0.3, 0.4]]),
            scores=np.array([0.5]),
            classes=np.array([4]),
            images=np.int64(2),
            source_ids=np.array(["a.jpg", "b.jpg"]),
        )
        (runtime / "timings.json").write_text(json.dumps(TIMINGS if timings is None else timings))
    challenger = {"runtimes": ["tensorflow"], "model_sha256": "5e"}
    content = {"schema_version": 1, "test": {"sha256": "aa"}, "challenger": challenger, "champion": champion} | index
    (folder / "measurements.json").write_text(json.dumps(content))
    return read_measurements(folder)


def test_numbers_that_are_none_are_unknown(tmp_path: Path) -> None:
    found = measured(tmp_path).challenger["tensorflow"].timings
    assert found.images_per_second == 11.0
    assert found.latency_milliseconds == {"p50": 90.0}
    assert (found.load_seconds, found.resident_megabytes, found.precision) == (None, None, "f32")


def test_the_champions_names_come_with_its_detections(tmp_path: Path) -> None:
    entry = {"runtimes": ["tensorflow"], "runtime": "tensorflow", "classes": [{"id": 4, "name": "cyclist"}]}
    champion = measured(tmp_path, champion=entry).champion
    assert champion is not None and champion.reason is None
    assert champion.label_map == {4: "cyclist"}
    assert champion.runtimes["tensorflow"].detections.classes.tolist() == [4]


def test_the_best_version_that_ever_served_stands_beside_the_champion(tmp_path: Path) -> None:
    found = measured(tmp_path)
    assert (found.best, found.artifact_megabytes) == (None, None)
    (tmp_path / "champion").rename(tmp_path / "best")
    entry = {"runtimes": ["tensorflow"], "runtime": "tensorflow", "classes": [{"id": 4, "name": "cyclist"}]}
    content = json.loads((tmp_path / "measurements.json").read_text())
    content["challenger"]["artifact_megabytes"] = 9.5
    (tmp_path / "measurements.json").write_text(json.dumps({**content, "champion": None, "best": entry}))
    again = read_measurements(tmp_path)
    assert again.champion is None and again.best is not None
    assert (again.best.label_map, again.artifact_megabytes) == ({4: "cyclist"}, 9.5)
    left = again.best.subset(np.array([True, False])).runtimes["tensorflow"]
    assert (left.images, len(left.detections.scores)) == (1, 0)
    (tmp_path / "measurements.json").write_text(json.dumps({**content, "best": {"error": "its archive is gone."}}))
    lost = read_measurements(tmp_path).best
    assert lost is not None and lost.reason == "its archive is gone"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"error": "its archive is gone."}, "its archive is gone"),
        ({"runtimes": []}, "none of its runtimes was measured"),
        ({"runtimes": ["openvino"]}, "not the detections of a runtime"),
        (
            {"runtimes": ["tensorflow"], "classes": [{"id": "x", "name": "cat"}]},
            "classes.0.id: Input should",
        ),
        ("gone", "Input should be"),
    ],
)
def test_a_champion_that_cannot_be_read_carries_its_reason(tmp_path: Path, entry: object, reason: str) -> None:
    champion = measured(tmp_path, champion=entry).champion
    assert champion is not None and not champion.runtimes
    assert reason in str(champion.reason)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ({"schema_version": 2}, r"measurements\.json: schema_version: Input should be 1; .* images of one version"),
        ({"challenger": {"runtimes": ["openvino"]}}, "not the detections of a runtime"),
        ({"challenger": None}, "challenger: Input should be"),
        ({"timings": [1]}, r"timings\.json: the whole file: Input should be an object"),
        ({"timings": {"latency_milliseconds": [1]}}, "latency_milliseconds: Input should be"),
    ],
)
def test_damage_to_the_challengers_is_an_error(tmp_path: Path, damage: dict[str, Any], sentence: str) -> None:
    with pytest.raises(EvaluationError, match=sentence):
        measured(tmp_path, **damage)
