# SPDX-License-Identifier: Apache-2.0
"""What differs in how two models were made."""

from typing import Any

import pytest

from training_src.evaluation.changes import MOST_FIELDS, Made, changes

CONFIG = """
model {{ ssd {{ num_classes: 3 image_resizer {{ fixed_shape_resizer {{ height: {size} width: {size} }} }} }} }}
train_config {{ batch_size: {batch} fine_tune_checkpoint: "{place}"
  data_augmentation_options {{ random_horizontal_flip {{}} }} {more} }}
train_input_reader {{ label_map_path: "{place}" }}
"""


def config(size: int = 320, batch: int = 8, place: str = "a", more: str = "") -> str:
    return CONFIG.format(size=size, batch=batch, place=place, more=more)


def described(**changed: Any) -> dict[str, Any]:
    return {
        "architecture": "ssd",
        "input": {"height": 320, "width": 320},
        "classes": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "dataset": {"sha256": "a" * 64},
        "training": {"steps": 100, "best_step": 90, "seed": 17, "fingerprint": "5e"},
        "initial_checkpoint": None,
        "image_digest": None,
        "seen": {"groups": {"train": ["1", "2"], "validation": ["3"]}, "unknown": []},
        **changed,
    }


def told(ours: Made, theirs: Made) -> list[tuple[str, str, Any, Any]]:
    return [(one.what, one.name, one.champion, one.challenger) for one in changes(ours, theirs)]


def test_equal_models_differ_in_nothing() -> None:
    assert not changes(Made(described(), config()), Made(described(), config(place="b")))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"dataset": {"sha256": "b" * 64}}, ("data", "data set", "a" * 64, "b" * 64)),
        ({"classes": [{"id": 1, "name": "cat"}]}, ("data", "classes", "cat, dog", "cat")),
        (
            {"seen": {"groups": {"train": ["2", "4", "5"], "validation": ["3"]}}},
            ("data", "groups and images seen in train", "2, 1 of them only here", "3, 2 of them only here"),
        ),
        ({"training": {"steps": 200}}, ("training", "steps", 100, 200)),
        (
            {"initial_checkpoint": {"kind": "pretrained", "name": "open_images", "index_sha256": "c" * 64}},
            ("training", "started from", "drawn weights", f"pretrained open_images {'c' * 12}"),
        ),
        ({"input": {"height": 640, "width": 320}}, ("config", "input", "320 x 320", "320 x 640")),
    ],
)
def test_tells_what_both_say_otherwise(changed: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert told(Made(described(**changed)), Made(described())) == [expected]


def test_code_is_told_only_where_both_know_it() -> None:
    one, other = described(image_digest="sha256:1"), described(image_digest="sha256:2")
    assert told(Made(one), Made(other)) == [("code", "image digest", "sha256:2", "sha256:1")]
    assert not told(Made(one), Made(described()))


def test_configs_are_compared_field_by_field() -> None:
    ours = config(batch=16, more="data_augmentation_options { random_adjust_hue { max_delta: 0.1 } }")
    assert told(Made(described(), ours), Made(described(), config())) == [
        ("config", "train_config.batch_size", "8", "16"),
        ("config", "train_config.data_augmentation_options[0].random_horizontal_flip", None, "given"),
        ("config", "train_config.data_augmentation_options[1].random_adjust_hue.max_delta", None, "0.1"),
        ("config", "train_config.data_augmentation_options.random_horizontal_flip", "given", None),
    ]


def test_of_another_architecture_only_the_training_is_told_field_by_field() -> None:
    found = told(Made(described(architecture="other"), config(640, 16)), Made(described(), config()))
    assert found == [
        ("config", "architecture", "ssd", "other"),
        ("config", "train_config.batch_size", "8", "16"),
        ("config", "further fields of pipeline.config", None, "2 differ"),
    ]


def test_only_so_many_fields_are_told() -> None:
    more = " ".join(f"field_{at}: 1" for at in range(MOST_FIELDS + 5))
    found = told(Made(described(), config(more=more)), Made(described(), config()))
    assert len(found) == MOST_FIELDS + 1
    assert found[-1][-1] == "5 differ"


@pytest.mark.parametrize("damage", [{}, {"seen": 3, "classes": 7, "dataset": [], "training": "x", "input": None}])
def test_what_says_little_of_itself_is_no_error(damage: dict[str, Any]) -> None:
    assert not told(Made(damage, "model {"), Made({}, ""))
