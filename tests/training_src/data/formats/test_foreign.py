# SPDX-License-Identifier: Apache-2.0
"""A folder with a layout of nobody's, of another tool's, or one folder too many."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from training_src.data.dataset import LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.writers.image import Image
from training_src.errors import DataError

Make = Callable[..., Image]
Write = Callable[[Path, Sequence[Image]], None]

LAYOUTS = ("coco", "sagemaker_builtin", "ground_truth", "pascal_voc", "yolo", "bbox_label_tool", "tfrecord")

KNOWN: dict[str, tuple[dict[str, str], str]] = {
    "KITTI": ({"label_2/000000.txt": "Car 0.00 0 -1.6", "image_2/000000.png": ""}, "COCO or Pascal VOC"),
    "KITTI's own folder": ({"training/label_2/000000.txt": "Car 0.00", "training/image_2/0.png": ""}, "KITTI's"),
    "BDD100K": ({"bdd100k_labels_images_val.json": '[{"name": "a.jpg", "labels": []}]'}, "bdd100k.label.to_coco"),
    "Open Images": (
        {"train-annotations-bbox.csv": "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n"},
        "is Open Images' table",
    ),
    "LabelMe": ({"a.json": '{"version": "5", "shapes": [{}], "imagePath": "a.jpg"}', "a.jpg": ""}, "labelme2coco.py"),
    "VIA": ({"via_project.json": '{"_via_settings": {}, "_via_img_metadata": {}}'}, "VGG Image Annotator"),
    "VIA's export": (
        {"via_region_data.json": '{"a.jpg7": {"filename": "a.jpg", "size": 7, "regions": []}}', "a.jpg": ""},
        "via_region_data.json is an export of the VGG Image Annotator: choose `Export Annotations (COCO format)`",
    ),
    "VIA's first export": (
        {"train/via.json": '{"a.jpg7": {"fileref": "", "size": 7, "filename": "a.jpg", "regions": {"0": {}}}}'},
        "train/via.json is an export of the VGG Image Annotator",
    ),
    "VIA's table": (
        {
            "via_export_csv.csv": "filename,file_size,file_attributes,region_count,region_id,"
            "region_shape_attributes,region_attributes\n",
            "a.jpg": "",
        },
        "via_export_csv.csv is an export of the VGG Image Annotator",
    ),
    "VoTT": ({"street.vott": "{}", "1a2b-asset.json": '{"asset": {}, "regions": []}'}, "choose its export"),
    "Supervisely": ({"meta.json": "{}", "ds0/ann/a.jpg.json": "{}", "ds0/img/a.jpg": ""}, "Export to COCO"),
    "Label Studio": ({"project-1.json": '[{"id": 1, "annotations": [], "data": {"image": "x"}}]'}, "choose the export"),
    "CVAT": ({"annotations.xml": "<annotations><version>1.1</version></annotations>"}, "COCO 1.0"),
    "FiftyOne's KITTI": ({"labels/a.txt": "Car 0 0 -1.5 1 1 3 3 1 1 1 1 1 1 0\n", "data/a.jpg": ""}, "are KITTI's"),
    "FiftyOne's Open Images": (
        {"labels/detections.csv": "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n", "data/a.jpg": ""},
        "in labels/, detections.csv is Open Images' table",
    ),
    "VoTT's JSON": ({"vott-json-export/p-export.json": '{"name": "p", "securityToken": "x"}'}, "VoTT's JSON"),
    "Datumaro": (
        {"annotations/default.json": '{"info": {}, "categories": {"label": {}}, "items": [{"id": "a"}]}'},
        "is Datumaro's",
    ),
    "Label Studio's JSON-MIN": (
        {"export.json": '[{"image": "x", "id": 1, "label": [{"x": 1}]}]'},
        "Label Studio's JSON",
    ),
    "SeqLabel.json": ({"SeqLabel.json": '{"detection-annotations": [{"frame-no": "0"}]}'}, "video jobs"),
    "texts without a list": ({"a.txt": "0 .5 .5 .2 .2\n", "a.jpg": ""}, "the classes in classes.txt"),
    "texts without images": ({"labels/a.txt": "0 .5 .5 .2 .2\n", "classes.txt": "car\n"}, "YOLO with Images"),
    "a table without names": ({"annotations.csv": "a.jpg,1,2,30,40,car\n", "a.jpg": ""}, "let its first line name"),
    "a table of semicolons": ({"l.csv": "filename;class;xmin;ymin;xmax;ymax\n", "a.jpg": ""}, "with commas between"),
    "FiftyOne's own": (
        {"metadata.json": '{"media_type": "image"}', "samples.json": '{"samples": [{"filepath": "data/a.jpg"}]}'},
        "samples.json is FiftyOne's own: export it as `fo.types.COCODetectionDataset`",
    ),
    "FiftyOne's detections": (
        {"labels.json": '{"classes": ["car"], "labels": {"a": []}}', "data/a.jpg": ""},
        "labels.json is FiftyOne's own: export it as `fo.types.COCODetectionDataset`",
    ),
    "FiftyOne's CVAT": (
        {"labels.xml": "<annotations><version>1.1</version></annotations>", "data/a.jpg": ""},
        "COCO 1.0",
    ),
    "FiftyOne's BDD": ({"labels.json": '[{"name": "a.jpg", "labels": []}]', "data/a.jpg": ""}, "bdd100k.label.to_coco"),
    "an empty file": ({"annotations/instances_train.json": "", "images/a.jpg": ""}, "instances_train.json is empty"),
    "a pointer of Git LFS": (
        {"instances.json": "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n", "images/a.jpg": ""},
        "instances.json is a pointer of Git LFS: run `git lfs pull`",
    ),
    "JSON that was cut off": ({"instances.json": '{"images": [{"id": 1', "a.jpg": ""}, "instances.json is no JSON"),
    "CreateML": (
        {"_annotations.createml.json": '[{"image": "a.jpg", "annotations": [{"label": "car", "coordinates": {}}]}]'},
        "_annotations.createml.json is CreateML's",
    ),
    "MOT": ({"gt/gt.txt": "1,1,10,10,20,20,1,1,1\n", "seqinfo.ini": "[Sequence]", "img1/1.jpg": ""}, "MOT Challenge"),
    "WIDER FACE": (
        {"wider_face_split/wider_face_train_bbx_gt.txt": "0/0.jpg\n", "images/a.jpg": ""},
        "WIDER FACE's",
    ),
    "CrowdHuman": ({"annotation_train.odgt": '{"ID": "0", "gtboxes": []}\n', "Images/a.jpg": ""}, "CrowdHuman's"),
    "RecordIO": ({"train/train.rec": "x"}, "RecordIO of SageMaker's older built-in"),
    "a list of images": ({"train/train.lst": "0\t2\t5", "train/a.jpg": ""}, "a list of SageMaker's older built-in"),
    "Labelbox": ({"export.ndjson": '{"data_row": {"id": "x"}}\n', "images/a.jpg": ""}, "Labelbox's"),
    "Hugging Face": ({"data/train-00000-of-00001.parquet": "PAR1"}, "Hugging Face"),
    "Hugging Face's folder of images": (
        {"train/metadata.jsonl": '{"file_name": "a.jpg", "objects": {"bbox": [[4, 6, 10, 10]]}}\n', "train/a.jpg": ""},
        "Hugging Face",
    ),
    "VisDrone": ({"annotations/a.txt": "10,10,20,20,1,4,0,0\n", "images/a.jpg": ""}, "VisDrone's"),
    "YOLO for Keras": (
        {
            "train/_annotations.txt": "a b.jpg 10,20,30,40,0 1,2,3,4,1\n",
            "train/_classes.txt": "car\n",
            "train/a b.jpg": "",
        },
        "in train/, the texts are of YOLO for Keras",
    ),
    "DOTA": ({"labelTxt/a.txt": "imagesource:x\ngsd:1\n1 1 3 1 3 3 1 3 plane 0\n", "images/a.jpg": ""}, "DOTA's"),
    "an archive": ({"street.zip": "PK"}, "street.zip is an archive: unpack it"),
    "images alone": ({"images/a.jpg": "", "images/b.jpg": ""}, "images and no annotations"),
}


def put(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize("tool", KNOWN)
def test_other_tools_layout_is_named_with_the_export_to_choose(tmp_path: Path, tool: str) -> None:
    files, sentence = KNOWN[tool]
    put(tmp_path, files)

    with pytest.raises(DataError) as told:
        read_dataset(tmp_path)

    assert sentence in str(told.value) and "has no supported layout" in str(told.value)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("within", ["my_set", "VOCdevkit/VOC2012"])
def test_one_folder_too_many_is_gone_through_and_told(
    tmp_path: Path, make_image: Make, writers: Mapping[str, Write], layout: str, within: str
) -> None:
    writers[layout](tmp_path / within, [make_image("a.jpg", ("car", 1, 2, 30, 40), number=1)])
    (tmp_path / "README.txt").write_text("read me")

    dataset = read_dataset(tmp_path)

    assert (dataset.format, dataset.label_map.names) == (layout, {1 if layout != "coco" else 10: "car"})
    if layout == "tfrecord":  # whose shards may lie in any folder
        assert not dataset.notices
        return
    assert dataset.notices[0] == f"Read {within}/, which is the only data set in there."
    assert sum(isinstance(entry, LabelledImage) for entry in dataset.entries()) == 1


def test_several_data_sets_in_a_folder_are_named(
    tmp_path: Path, make_image: Make, writers: Mapping[str, Write]
) -> None:
    for number, name in enumerate(("one", "two")):
        writers["pascal_voc"](tmp_path / name, [make_image("a.jpg", ("car", 1, 2, 30, 40), number=number)])

    with pytest.raises(DataError, match=r"holds several data sets: one/, two/; name one of them, or merge them"):
        read_dataset(tmp_path)


def test_folder_of_nothing_known_says_what_is_supported(tmp_path: Path) -> None:
    put(tmp_path, {"notes.json": json.dumps({"a": 1}), "deep/er/thing.bin": "x"})

    with pytest.raises(DataError, match=r"no supported layout \(it holds: deep, notes\.json\); supported are Pascal"):
        read_dataset(tmp_path)


def test_text_of_another_encoding_is_named(tmp_path: Path) -> None:
    put(tmp_path, {"images/a.jpg": ""})
    (tmp_path / "result.json").write_bytes('{"images": []}'.encode("utf-16"))

    with pytest.raises(DataError, match=r"result\.json is written in UTF-16: save it as UTF-8"):
        read_dataset(tmp_path)


def test_linked_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "set").mkdir()
    (tmp_path / "set/data").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(DataError, match=r"data/ is a link to a folder outside the data set: copy the folder in"):
        read_dataset(tmp_path / "set")


def test_archive_in_place_of_a_folder_is_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "street.zip", "w") as archive:
        for name in ("export/Annotations/a.xml", "export/JPEGImages/a.jpg", "__MACOSX/._a"):
            archive.writestr(name, "")

    with pytest.raises(
        DataError, match=r"street\.zip is an archive: unpack it, and name the folder that comes out \(exp"
    ):
        read_dataset(tmp_path / "street.zip")


@pytest.mark.parametrize("name", ["set.tar.gz", "set.TGZ", "set.rar", "set.7z", "broken.zip"])
def test_archive_of_any_kind_is_to_be_unpacked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"Rar!")

    with pytest.raises(DataError, match=r"is an archive: unpack it, and name the folder that comes out\."):
        read_dataset(tmp_path / name)


@pytest.mark.parametrize("name", ["instances_train.json", "obj.data", "train.record", "a.jpg"])
def test_file_in_place_of_a_folder_says_which_folder_to_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")

    with pytest.raises(
        DataError, match=rf"{name} is a file; name the folder that holds the images and their annotations"
    ):
        read_dataset(tmp_path / name)


def test_yolos_settings_in_place_of_their_folder_say_which_folder_to_name(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("names: [car]\ntrain: images\n")

    with pytest.raises(DataError, match=r"data\.yaml must hold `sources:` .*; for a single data set name its folder"):
        read_dataset(tmp_path / "data.yaml")
