# SPDX-License-Identifier: Apache-2.0
"""What a model has seen, over generations."""

import json
from pathlib import Path

import pytest

from training_src.data.seen_groups import SeenGroups, of_dataset, of_model, write_seen


def dataset(folder: Path, train: list[str], validation: list[str]) -> SeenGroups:
    """What a data set with these groups shows to whom it trains."""
    folder.mkdir(parents=True)
    groups = {"train": train, "validation": validation, "test": ["f" * 12]}
    (folder / "dataset.json").write_text(json.dumps({"sha256": "5" * 64, "groups": groups}))
    return of_dataset(folder / "dataset.json")


def model(folder: Path, seen: SeenGroups, most: int = 100) -> SeenGroups:
    """What is read out of the archive of a model that has seen this."""
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps({"seen": write_seen(seen, folder, most)}))
    return of_model(folder / "model.json")


@pytest.mark.parametrize("most", [100, 1, 0])
def test_three_generations_have_seen_what_each_of_them_has(tmp_path: Path, most: int) -> None:
    first = model(tmp_path / "m1", dataset(tmp_path / "d1", ["a", "b"], ["c"]), most)
    second = model(tmp_path / "m2", dataset(tmp_path / "d2", ["b", "d"], ["e"]).joined(first), most)
    third = model(tmp_path / "m3", dataset(tmp_path / "d3", ["c"], ["g"]).joined(second), most)
    # Of what its ancestors were tested by, nothing was learnt.
    assert third == SeenGroups(frozenset("abcd"), frozenset("ceg"), test=frozenset(["f" * 12]))
    assert third.learnt_from == frozenset("abcdeg")
    assert (tmp_path / "m3" / "groups-train.txt").exists() == (most < 100)


def test_the_groups_of_a_huge_set_are_read_out_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "groups-train.txt").write_text("a\nb\n")
    description = {"groups": {"train": [], "validation": ["c"]}, "groups_files": {"train": "groups-train.txt"}}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    assert of_dataset(tmp_path / "dataset.json") == SeenGroups(frozenset("ab"), frozenset("c"))
    # Never out of its folder.
    description["groups_files"] = {"train": str(tmp_path / "groups-train.txt")}
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "dataset.json").write_text(json.dumps(description))
    assert of_dataset(tmp_path / "elsewhere" / "dataset.json").unknown == ("data set",)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"groups": {"train": ["a"]}}', '{"groups": [1]}', '{"groups": {"train": 1, "validation": []}}'],
)
def test_what_does_not_tell_its_groups_is_unknown(tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset.json").write_text(content)
    assert of_dataset(tmp_path / "dataset.json") == SeenGroups(unknown=("data set",))
    (tmp_path / "model.json").write_text(content)
    assert of_model(tmp_path / "model.json") == SeenGroups(unknown=("model",))


@pytest.mark.parametrize(
    ("start", "unknown"),
    [
        ({"kind": "model", "address": "s3://house/models/model.tar.gz"}, ()),
        ({"kind": "model"}, ("the model that model 0123456789abcdef started from",)),
        ({"kind": "pretrained"}, ()),
        (None, ()),
    ],
)
def test_a_start_whose_place_nobody_wrote_down_is_unknown_and_left_out(
    tmp_path: Path, start: object, unknown: tuple[str, ...]
) -> None:
    described = {
        "training": {"fingerprint": "0123456789abcdef"},
        "initial_checkpoint": start,
        "seen": write_seen(SeenGroups(frozenset("a"), frozenset("b")), tmp_path),
    }
    (tmp_path / "model.json").write_text(json.dumps(described))
    assert of_model(tmp_path / "model.json") == SeenGroups(frozenset("a"), frozenset("b"), unknown)


def test_an_older_model_is_unknown_by_its_fingerprint_and_so_are_its_heirs(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"training": {"fingerprint": "0123456789abcdef"}}))
    older = of_model(tmp_path / "model.json")
    heir = model(tmp_path / "m2", dataset(tmp_path / "d2", ["a"], []).joined(older))
    assert heir == SeenGroups(frozenset("a"), frozenset(), ("model 0123456789abcdef",), frozenset(["f" * 12]))
    assert heir.joined(older).unknown == ("model 0123456789abcdef",)
