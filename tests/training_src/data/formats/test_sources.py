# SPDX-License-Identifier: Apache-2.0
"""Several data sets become one by a list file."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from training_src.data.dataset import Dataset, LabelledImage
from training_src.data.formats import read_dataset
from training_src.errors import DataError


@pytest.fixture
def merged(voc_folder: Path, builtin_folder: Path, tmp_path: Path) -> Path:
    """A folder with two data sets in different layouts, without a list yet."""
    folder = tmp_path / "merged"
    (folder / "suppliers").mkdir(parents=True)
    shutil.move(voc_folder, folder / "voc")
    shutil.move(builtin_folder, folder / "suppliers/acme")
    return folder


def listed(folder: Path, text: str) -> Dataset:
    (folder / "sources.yaml").write_text(text)
    return read_dataset(folder)


def images_of(dataset: Dataset) -> list[LabelledImage]:
    return [entry for entry in dataset.entries() if isinstance(entry, LabelledImage)]


BOTH = """
sources:
  - path: voc
    rename: {cyclist: bicycle}
  - path: suppliers/acme
    format: sagemaker_builtin
    rename: {vehicle: car}
    drop: [pedestrian]
"""


def test_sources_are_merged_with_renamed_and_dropped_classes(merged: Path) -> None:
    dataset = listed(merged, BOTH)
    boxes = Counter((box.name, box.label) for image in images_of(dataset) for box in image.boxes)

    assert dataset.format == "sources"
    assert dataset.label_map.names == {1: "bicycle", 2: "car", 3: "pedestrian", 4: "vehicle"}
    assert boxes == {("vehicle", 4): 6, ("bicycle", 1): 6, ("car", 2): 5}
    assert "voc is pascal_voc, suppliers/acme is sagemaker_builtin" in dataset.notices[0]


def test_source_ids_are_unique_and_splits_stay(merged: Path) -> None:
    images = images_of(listed(merged, BOTH))

    assert len({image.source_id for image in images}) == len(images) == 15
    assert Counter(image.given_split for image in images) == {"train": 8, "validation": 3, "test": 4}
    assert {image.source_id.split("/")[0] for image in images} == {"voc", "suppliers"}
    assert all(image.encoded.load() for image in images)


def test_list_file_may_be_named_itself_and_a_label_map_beside_it_decides(merged: Path) -> None:
    (merged / "label_map.pbtxt").write_text(
        "item { id: 9 name: 'vehicle' } item { id: 2 name: 'bicycle' } item { id: 3 name: 'car' }"
    )
    (merged / "street.yaml").write_text(BOTH)

    dataset = read_dataset(merged / "street.yaml")

    assert {(box.name, box.label) for image in images_of(dataset) for box in image.boxes} == {
        ("vehicle", 9),
        ("bicycle", 2),
        ("car", 3),
    }


def test_fault_of_a_source_says_which_source(merged: Path) -> None:
    (merged / "voc/Annotations/street_2.xml").write_text("")

    faults = [entry for entry in listed(merged, BOTH).entries() if not isinstance(entry, LabelledImage)]

    assert faults[0].file == "voc/Annotations/street_2.xml"
    assert faults[0].message == "voc/Annotations/street_2.xml is empty; export it again."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no mapping"),
        ("sources: []", "must hold `sources:` with a list"),
        ("sources: [{path: voc}]\nmore: 1", "and nothing else"),
        ("sources: [voc]", "has source 0, which has no path"),
        ("sources: [{path: voc, drop: cat}]", "a drop that is no list"),
        ("sources: [{path: voc, colour: red}]", "has the unknown key colour"),
        ("sources: [{path: voc, format: cvat}]", 'has the unknown format "cvat"'),
        ("sources: [{path: voc, rename: {tram: bus}}]", r'voc has no class "tram" to rename or drop; it has: vehicle'),
        ("sources: [{path: voc}, {path: ./voc}]", 'reads "voc" twice'),
        ("sources: [{path: voc}, {path: voc/Annotations}]", 'reads "voc/Annotations" twice|"voc" twice'),
        ("sources: [{path: ../elsewhere}]", "which is no folder beside the list file"),
        ("sources: [{path: /etc}]", "which is no folder beside the list file"),
        ("sources: [{path: voc, drop: [vehicle, cyclist, pedestrian]}]", "drops every class"),
        ("sources: &a [*a]", "is no YAML"),
        (
            "sources:\n- path: voc\n  drop: [a]\n  drop: [b]",
            r'sources.yaml has the key "drop" twice, in lines 3 and 4',
        ),
        (
            "sources: [{uri: 's3://bucket/sets/warehouse/'}]",
            r'names "s3://bucket/sets/warehouse/", but jobs have no network: copy it to the folder warehouse/ beside '
            r"the list file, and write `path: warehouse`",
        ),
    ],
)
def test_faulty_list_is_one_sentence(merged: Path, text: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        listed(merged, text)

    assert len(caught.value.sentences) == 1


def test_folder_may_be_called_like_a_list(merged: Path) -> None:
    named = merged.rename(merged.with_name("merged.yaml"))

    assert listed(named, BOTH).format == "sources"
