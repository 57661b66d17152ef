# SPDX-License-Identifier: Apache-2.0
"""PrepareDataset in a job directory, and `check`: once as a process of several, else in this process."""

from __future__ import annotations

import html
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from xxhash import xxh3_128_hexdigest

from containers.contract.orientation import turn_boxes
from containers.contract.tfrecord import write_record
from inference_src.images import decode_image
from inference_src.records import read_images
from pipelines.demo.scenes import draw_scenes
from tests.picture_files import with_orientation
from training_src.__main__ import main
from training_src.data.images import decode_upright, read_header
from training_src.data.label_map import read_label_map
from training_src.data.records.example import encode, read_examples
from training_src.data.statistics import short_hash
from training_src.evaluation.test_set import read_test_set
from training_src.models.anchor_overlaps import anchors_of
from training_src.models.box_shapes import BoxShapes
from training_src.models.config.pipeline import load_bundled
from training_src.models.fitted_input import decided_by_data
from training_src.training.records import Records

REPOSITORY = Path(__file__).resolve().parents[2]
BCCD = REPOSITORY.parent / "shared" / "data" / "bccd"
OUTPUTS = ("train", "validation", "test", "metadata")
Result = subprocess.CompletedProcess[str]
Told = Callable[..., Result]


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    draw_scenes(folder, train=14, validation=4, test=6, size=(160, 120))
    return folder


@pytest.fixture
def dataset(drawn: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(drawn, tmp_path / "dataset"))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """Runs `python -m training_src` in this process, on one core: it may have started threads, and does not fork."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})

    def run(*arguments: str, **environment: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main(arguments)
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run


def process(*arguments: str, **environment: str) -> Result:
    """The same as a process that forks others."""
    return subprocess.run(
        [sys.executable, "-m", "training_src", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def prepare(tmp_path: Path, told: Told) -> Callable[..., tuple[Result, Path]]:
    """Runs PrepareDataset as the platform would; returns what it printed and the job's root."""

    def run(dataset: Path, *, config: str = "", architecture: str = "", by: Told = told) -> tuple[Result, Path]:
        root = tmp_path / f"job_{len(list(tmp_path.glob('job_*')))}"
        inputs = root / "processing/input"
        inputs.mkdir(parents=True)
        (inputs / "dataset").symlink_to(dataset)
        for name, text in (("label_map", ""), ("config", config)):
            (inputs / name).mkdir()
            (inputs / name / ("pipeline.config" if text else "none")).write_text(text or "none\n")
        document = {
            "ProcessingInputs": [
                {"InputName": name, "S3Input": {"LocalPath": f"/opt/ml/processing/input/{name}"}}
                for name in ("dataset", "label_map", "config")
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": name,
                        "S3Output": {
                            "LocalPath": f"/opt/ml/processing/output/{name}",
                            "S3Uri": f"s3://bucket/executions/1/{name}",
                        },
                    }
                    for name in OUTPUTS
                ]
            },
            "Environment": {"MAPGATE_ARCHITECTURE": architecture},
        }
        (root / "config").mkdir()
        (root / "config/processingjobconfig.json").write_text(json.dumps(document))
        return by("prepare", MAPGATE_ML_ROOT=str(root)), root

    return run


def test_prepared_data_set_is_whole(drawn: Path, prepare: Callable[..., tuple[Result, Path]]) -> None:
    done, root = prepare(drawn, architecture="ssd_mobilenet_v2_fpnlite_640x640", by=process)
    output = root / "processing/output"

    assert done.returncode == 0, done.stderr
    assert "checked=24/24" in done.stdout and "written=24/24" in done.stdout
    assert not list(output.rglob("*.partial"))
    assert [shard.name for shard in sorted((output / "train").iterdir())] == [
        f"train-{number:05d}-of-00004.tfrecord" for number in range(4)
    ]
    assert read_label_map(output / "metadata/label_map.pbtxt").names == {1: "vehicle", 2: "pedestrian", 4: "cyclist"}
    for split, count in (("train", 14), ("validation", 4), ("test", 6)):
        examples = list(read_examples(output / split))
        assert len(examples) == len({example.source_id for example in examples}) == count
        for example in examples:
            assert example.encoded == (drawn / example.source_id).read_bytes()
            assert np.all((example.boxes >= 0) & (example.boxes <= 1))
            assert set(example.labels.tolist()) <= {1, 2, 4}


def test_description_counts_what_was_written(drawn: Path, prepare: Callable[..., tuple[Result, Path]]) -> None:
    _, root = prepare(drawn)
    described = json.loads((root / "processing/output/metadata/dataset.json").read_text())
    examples = list(read_examples(root / "processing/output/train"))

    assert described["format"] == "pascal_voc"
    assert len(described["sha256"]) == 64
    assert described["greatest_id"] == 4
    assert described["images"] == 24
    assert described["splits"]["train"]["boxes"] == sum(len(example.boxes) for example in examples)
    assert sum(described["class_balance"].values()) == pytest.approx(1, abs=0.001)
    heights = np.concatenate([example.boxes[:, 2] - example.boxes[:, 0] for example in examples])
    statistics = described["splits"]["train"]["box_statistics"]
    assert statistics["height"]["median"] == pytest.approx(float(np.median(heights)), abs=1e-4)
    shapes = BoxShapes.read(described["splits"]["train"])
    assert shapes is not None
    assert {name: sum(cells.values()) for name, cells in shapes.counts.items()} == (
        described["splits"]["train"]["boxes_per_class"]
    )
    assert shapes.longer_side == 160
    groups = [set(described["groups"][split]) for split in ("train", "validation", "test")]
    assert [len(group) for group in groups] == [14, 4, 6]
    assert not set.intersection(*groups)


def test_the_report_shows_the_anchors_that_will_be_trained(
    drawn: Path, prepare: Callable[..., tuple[Result, Path]]
) -> None:
    architecture = "ssd_mobilenet_v2_fpnlite_160x160"
    _, root = prepare(drawn, architecture=architecture)
    described = json.loads((root / "processing/output/metadata/dataset.json").read_text())
    trained = decided_by_data(load_bundled(architecture, 4), BoxShapes.read(described["splits"]["train"])).description
    anchors = anchors_of(trained)
    assert anchors is not None
    assert trained.text() != load_bundled(architecture, 4).text()
    sides = [np.sqrt(level.shapes.prod(axis=1)) for level in anchors.levels]
    shown = [(level["smallest"], level["largest"]) for level in described["anchor_fit"]["by_level"]]
    assert shown == [(round(float(each.min()), 1), round(float(each.max()), 1)) for each in sides]
    assert described["anchor_fit"]["input"] == [anchors.width, anchors.height]
    page = (root / "processing/output/metadata/report.html").read_text()
    assert f"The data decide: input {anchors.width}x{anchors.height}" in page


def test_description_tells_what_is_judged_before_a_training(
    dataset: Path, prepare: Callable[..., tuple[Result, Path]]
) -> None:
    annotation = sorted((dataset / "Annotations").glob("test_*.xml"))[0]
    text = annotation.read_text()
    difficult = text.replace("<difficult>0", "<difficult>1") if "<difficult>" in text else None
    annotation.write_text(difficult or text.replace("<bndbox>", "<difficult>1</difficult><bndbox>"))
    _, root = prepare(dataset)
    described = json.loads((root / "processing/output/metadata/dataset.json").read_text())
    test = described["splits"]["test"]
    # Difficult boxes are ordinary ones.
    assert test["boxes_to_find_per_class"] == test["boxes_per_class"]
    assert test["difficult_boxes"] == text.count("<bndbox>") > 0
    sizes = {image.name: image.stat().st_size for image in (dataset / "JPEGImages").glob("test_*")}
    largest = test["largest_file"]
    assert (largest["bytes"], largest["width"], largest["height"]) == (max(sizes.values()), 160, 120)
    assert sizes[Path(largest["name"]).name] == largest["bytes"]
    assert test["largest_image"]["width"] == 160


def test_groups_columns_and_areas_reach_the_test_set(
    tmp_path: Path, prepare: Callable[..., tuple[Result, Path]]
) -> None:
    """Twenty drives of two frames, in COCO's layout."""
    folder = tmp_path / "dataset"
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
        (folder / "images" / f"{number}.jpg").write_bytes(simplejpeg.encode_jpeg(pixels))
        images.append({"id": number, "file_name": f"{number}.jpg", "group": f"drive {number // 2}"})
        images[-1]["attributes"] = {"camera": "front" if number % 2 else "rear"}
        # Of 28 x 40 pixels; the outline of every second one is small.
        area = 1120 if number % 2 else 400
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": [2, 3, 28, 40], "area": area})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "vehicle"}]}
    (folder / "instances.json").write_text(json.dumps(content))

    _, root = prepare(folder)
    output = root / "processing/output"
    described = json.loads((output / "metadata/dataset.json").read_text())
    test_set = read_test_set(output / "test")

    images_tested = described["splits"]["test"]["images"]
    # The same bytes below another drive's name are the same image, whoever gave it that name.
    known = set(described["groups"]["test"])
    contents = {short_hash(xxh3_128_hexdigest(each.encoded)) for each in read_examples(output / "test")}
    assert known == contents | {short_hash(name) for name in test_set.groups}
    assert len(set(test_set.groups)) == images_tested / 2
    assert set(test_set.columns) == {"camera", "sequence"}
    assert described["splits"]["test"]["columns"]["camera"] == {"front": images_tested // 2, "rear": images_tested // 2}
    assert set(described["splits"]["test"]["columns"]["sequence"].values()) == {2}
    small = test_set.truth.square_pixels() < 32**2
    assert small.sum() == described["splits"]["test"]["box_statistics"]["coco_sizes"]["small"] == images_tested / 2


def test_same_data_give_the_same_bytes_however_many_processes_work(
    drawn: Path, told: Told, prepare: Callable[..., tuple[Result, Path]]
) -> None:
    first, second = (prepare(drawn, by=by)[1] / "processing/output" for by in (told, process))

    for file in first.rglob("*.*"):
        assert file.read_bytes() == (second / file.relative_to(first)).read_bytes()


def test_content_hash_follows_the_boxes(dataset: Path, told: Told) -> None:
    before = json.loads(told("check", str(dataset), "--json").stdout)
    file = next(dataset.glob("Annotations/train*.xml"))
    text = file.read_text()
    xmin = text.split("<xmin>")[1].split("<")[0]
    file.write_text(text.replace(f"<xmin>{xmin}<", f"<xmin>{int(xmin) + 1}<", 1))

    after = json.loads(told("check", str(dataset), "--json").stdout)

    assert before["faults"] == after["faults"] == []
    assert before["sha256"] != after["sha256"]


def _break_image(dataset: Path) -> tuple[str, str]:
    file = dataset / "JPEGImages/train_00003.jpg"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return "JPEGImages/train_00003.jpg", "cannot be decoded"


def _move_box_outside(dataset: Path) -> tuple[str, str]:
    _edit(dataset / "Annotations/train_00002.xml", "xmax", "999")
    return "Annotations/train_00002.xml", "object 0"


def _name_unknown_class(dataset: Path) -> tuple[str, str]:
    _edit(dataset / "Annotations/val_00001.xml", "name", "tram")
    return "Annotations/val_00001.xml", 'object 0 has the unknown class "tram"'


def _empty_annotation(dataset: Path) -> tuple[str, str]:
    (dataset / "Annotations/test_00000.xml").write_text("")
    return "Annotations/test_00000.xml", "is empty"


def _empty_annotations_json(dataset: Path) -> tuple[str, str]:
    shutil.rmtree(dataset / "Annotations")
    shutil.rmtree(dataset / "ImageSets")
    (dataset / "JPEGImages").rename(dataset / "images")
    (dataset / "annotations.json").write_text("")
    return "annotations.json", "is empty"


def _unsupported_layout(dataset: Path) -> tuple[str, str]:
    shutil.rmtree(dataset / "Annotations")
    shutil.rmtree(dataset / "ImageSets")
    (dataset / "labels.csv").write_text("image,x,y\n")
    return "dataset", "no supported layout"


# Nothing of these can be shown.
_UNREADABLE = (_empty_annotations_json, _unsupported_layout)


@pytest.mark.parametrize(
    "plant",
    [
        _break_image,
        _move_box_outside,
        _name_unknown_class,
        _empty_annotation,
        _empty_annotations_json,
        _unsupported_layout,
    ],
)
def test_planted_fault_is_one_sentence_and_stops_before_anything_but_the_report_is_written(
    dataset: Path, prepare: Callable[..., tuple[Result, Path]], plant: Callable[[Path], tuple[str, str]], told: Told
) -> None:
    file, words = plant(dataset)

    done, root = prepare(dataset)
    checked = told("check", str(dataset))
    as_json = json.loads(told("check", str(dataset), "--json").stdout)

    assert done.returncode == checked.returncode == 2
    for sentence in (done.stderr, checked.stderr, (root / "output/message").read_text()):
        (line,) = sentence.strip().splitlines()
        assert line.startswith(file)
        assert words in line
    assert [fault["message"] for fault in as_json["faults"]] == [checked.stderr.strip()]
    written = list((root / "processing").glob("output/*/*"))
    assert [file.name for file in written] == ([] if plant in _UNREADABLE else ["report.html"])
    assert all(words in html.unescape(file.read_text()) for file in written)
    assert ("s3://bucket/executions/1/metadata/report.html" in done.stdout) == bool(written)


def test_every_fault_has_its_sentence(dataset: Path, told: Told) -> None:
    _break_image(dataset)
    _move_box_outside(dataset)
    _name_unknown_class(dataset)

    assert len(told("check", str(dataset)).stderr.strip().splitlines()) == 3


def test_config_with_too_few_classes_is_refused(drawn: Path, prepare: Callable[..., tuple[Result, Path]]) -> None:
    text = (REPOSITORY / "training_src/models/configs/ssd_mobilenet_v2_fpnlite_640x640.config").read_text()

    done, root = prepare(drawn, config=text.replace("num_classes: 90", "num_classes: 2"))

    assert done.returncode == 2
    assert "num_classes is 2, but the greatest label id is 4" in (root / "output/message").read_text()
    done, _ = prepare(drawn, config=text.replace("num_classes: 90", "num_classes: 3"))
    assert done.returncode == 0
    assert "num_classes is 3, and the label ids have gaps" in done.stdout
    assert prepare(drawn, config=text)[0].returncode == 0


def test_unknown_architecture_is_refused_before_the_work(
    drawn: Path, prepare: Callable[..., tuple[Result, Path]]
) -> None:
    done, _ = prepare(drawn, architecture="yolo")

    assert done.returncode == 2
    assert 'Architecture "yolo" is not known; choose one of' in done.stderr
    assert "checked" not in done.stdout


def test_check_tells_counts_by_split_and_class(drawn: Path, told: Told) -> None:
    done = told("check", str(drawn))
    as_json = json.loads(told("check", str(drawn), "--json").stdout)

    assert done.returncode == 0
    assert "train: 14 images" in done.stdout
    assert {"faults", "images", "boxes", "classes", "splits", "format", "sha256"} <= as_json.keys()
    assert [entry["id"] for entry in as_json["classes"]] == [1, 2, 4]


def test_label_map_option_takes_the_folders_place(drawn: Path, tmp_path: Path, told: Told) -> None:
    file = tmp_path / "other.pbtxt"
    file.write_text("item { id: 1 name: 'vehicle' } item { id: 2 name: 'pedestrian' }")

    done = told("check", str(drawn), "--label-map", str(file))

    assert done.returncode == 2
    assert 'unknown class "cyclist"' in done.stderr


def test_identical_images_are_never_torn_apart(tmp_path: Path, drawn: Path, told: Told) -> None:
    folder = tmp_path / "unsplit"
    shutil.copytree(drawn / "JPEGImages", folder / "JPEGImages")
    shutil.copytree(drawn / "Annotations", folder / "Annotations")
    for image in list((folder / "JPEGImages").iterdir()):
        shutil.copy(image, image.with_stem(f"again_{image.stem}"))
        annotation = (folder / "Annotations" / image.name).with_suffix(".xml")
        text = annotation.read_text().replace(image.name, f"again_{image.name}")
        annotation.with_stem(f"again_{image.stem}").write_text(text)
    counts = json.loads(told("check", str(folder), "--json").stdout)["splits"]

    assert all(split["images"] % 2 == 0 for split in counts.values())
    assert sum(split["images"] for split in counts.values()) == 48


@pytest.mark.skipif(not BCCD.is_dir(), reason=f"the real data set is not at {BCCD}")
def test_bccd_is_prepared_as_published(prepare: Callable[..., tuple[Result, Path]]) -> None:
    done, root = prepare(BCCD)
    described = json.loads((root / "processing/output/metadata/dataset.json").read_text())

    assert done.returncode == 0, done.stderr
    assert [described["splits"][split]["images"] for split in ("train", "validation", "test")] == [205, 87, 72]
    assert described["repaired"] == {"clipped_boxes": 0, "dropped_boxes": 2}
    assert "BloodImage_00338.xml: 1 box that is a single point dropped" in done.stdout


def _edit(file: Path, tag: str, value: str) -> None:
    text = file.read_text()
    at = text.index(f"<{tag}>", text.index("<object>"))
    file.write_text(text[:at] + f"<{tag}>{value}" + text[text.index(f"</{tag}>", at) :])


def as_phones_store_it(encoded: bytes) -> bytes:
    """A picture turned counter-clockwise, and EXIF's word to turn it back."""
    pixels = np.rot90(simplejpeg.decode_jpeg(encoded))
    return with_orientation(bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=97)), 6)


def test_what_a_phone_took_is_the_same_picture_in_shards_training_evaluation_and_server(
    drawn: Path, dataset: Path, prepare: Callable[..., tuple[Result, Path]]
) -> None:
    """Its annotations were drawn on the upright picture, whose size they state."""
    for file in dataset.rglob("*.jpg"):
        file.write_bytes(as_phones_store_it(file.read_bytes()))
    upright, turned = (_folders(*prepare(folder)) for folder in (drawn, dataset))

    for split in OUTPUTS[:3]:
        before, after = read_examples(upright / split), list(read_examples(turned / split))
        for one, other in zip(before, after, strict=True):
            assert (one.source_id, one.width, one.height) == (other.source_id, other.width, other.height)
            np.testing.assert_array_equal(one.boxes, other.boxes)
            difference = decode_upright(one.encoded).astype(int) - decode_upright(other.encoded)
            assert np.abs(difference).mean() < 3
            assert read_header(other.encoded).orientation == 1
        _assert_seen_alike(turned / split)


def test_shards_of_others_are_turned_by_whoever_reads_them(
    drawn: Path, prepare: Callable[..., tuple[Result, Path]], tmp_path: Path
) -> None:
    """They never saw PrepareDataset, and their boxes mean the pixels that TensorFlow decodes."""
    prepared = _folders(*prepare(drawn)) / "test"
    examples = list(read_examples(prepared))
    (tmp_path / "shards").mkdir()
    with (tmp_path / "shards/a.tfrecord").open("wb") as stream:
        for example in examples:
            encoded = as_phones_store_it(example.encoded)
            stored = replace(example, encoded=encoded, width=120, height=160, boxes=turn_boxes(example.boxes, 8))
            write_record(stream, encode(stored))

    for one, other in zip(examples, read_examples(tmp_path / "shards"), strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-6)
        assert (one.width, one.height) == (other.width, other.height) == (160, 120)
    _assert_seen_alike(tmp_path / "shards")


def _folders(done: Result, root: Path) -> Path:
    assert done.returncode == 0, done.stderr
    return root / "processing/output"


def _assert_seen_alike(split: Path) -> None:
    """What MeasureServing sends becomes in the server what training decodes, and evaluation's boxes are of that."""
    records, truth = Records(split), read_test_set(split).truth
    for number, sent in enumerate(read_images(split)):
        example, pixels = records.decoded(number)
        assert truth.source_ids[number] == sent.source_id == example.source_id
        np.testing.assert_array_equal(decode_image(sent.encoded), pixels)
        assert tuple(truth.sizes[number]) == pixels.shape[:2] == (example.height, example.width)
        np.testing.assert_array_equal(truth.boxes[truth.image_index == number], example.boxes)
