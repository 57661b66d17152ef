# SPDX-License-Identifier: Apache-2.0
"""COCO in the folders that people have it in, and what a file may hold beside boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training_src.data import spill
from training_src.data.dataset import Box, Dataset, Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.formats.json_stream import elements
from training_src.errors import DataError

EncodedImage = Callable[..., bytes]


def content(count: int = 2, **changes: Any) -> dict[str, Any]:
    return {
        "info": {"description": "streets"},
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in range(count)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 3, "bbox": [4, 6, 28, 24], "area": 672, "iscrowd": n % 2}
            for n in range(count)
        ],
        "categories": [{"id": 3, "name": "vehicle"}, {"id": 5, "name": "cyclist"}],
        **changes,
    }


@pytest.fixture
def coco(tmp_path: Path, encoded_image: EncodedImage) -> Callable[..., Dataset]:
    """Reads a COCO data set of which annotation file and image folder are given."""

    def read(file: str, pictures: str, **changes: Any) -> Dataset:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(json.dumps(content(**changes)))
        (tmp_path / pictures).mkdir(parents=True, exist_ok=True)
        for number in range(2):
            (tmp_path / pictures / f"{number}.jpg").write_bytes(encoded_image(number))
        return read_dataset(tmp_path)

    return read


def images_of(dataset: Dataset) -> list[LabelledImage]:
    return [entry for entry in dataset.entries() if isinstance(entry, LabelledImage)]


def messages(dataset: Dataset) -> list[str]:
    return [entry.message for entry in dataset.entries() if isinstance(entry, Fault)]


@pytest.mark.parametrize(
    ("file", "pictures", "split"),
    [
        ("annotations/instances_train2017.json", "train2017", "train"),
        ("annotations/instances_val2017.json", "images/val2017", "validation"),
        ("train/_annotations.coco.json", "train", "train"),
        ("instances.json", "images", None),
        ("annotations.json", "images", None),
        ("result.json", ".", None),
        ("annotations/instances_default.json", "images", None),
        ("labels.json", "data", None),  # FiftyOne
        ("Annotations/instances_default.json", "Images", None),
        ("labels/train.json", "images/train", "train"),
        ("labels/annotations.json", "JPEGImages", None),
    ],
)
def test_usual_folders_are_found(coco: Callable[..., Dataset], file: str, pictures: str, split: str | None) -> None:
    dataset = coco(file, pictures)

    assert dataset.format == "coco"
    assert dataset.label_map.names == {3: "vehicle", 5: "cyclist"}
    assert [image.given_split for image in images_of(dataset)] == [split, split]
    assert images_of(dataset)[1].boxes == (Box(4, 6, 32, 30, 3, "vehicle", "annotation 1", crowd=True),)


def test_an_outlines_area_is_kept_and_a_region_to_ignore_is_a_crowd(
    coco: Callable[..., Dataset], tmp_path: Path
) -> None:
    coco("instances.json", "images")
    file = tmp_path / "instances.json"
    content = json.loads(file.read_text())
    box = content["annotations"][0]
    stated = [400.5, 672.001, 0, -3, "many", None, True, float("nan")]
    content["annotations"] = [{**box, "id": n, "area": area} for n, area in enumerate(stated)]
    content["annotations"].append({**box, "id": 99, "ignore": 1, "iscrowd": 0, "difficult": 1})
    file.write_text(json.dumps(content))

    boxes = next(image.boxes for image in images_of(read_dataset(tmp_path)) if image.boxes)

    # 672 is the box's own.
    assert [one.area for one in boxes] == [400.5, *[None] * 8]
    assert [(one.crowd, one.difficult) for one in boxes[-2:]] == [(False, False), (True, True)]


def test_other_annotations_of_the_same_images_are_not_read(coco: Callable[..., Dataset], tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    for name in ("captions_train2017", "person_keypoints_train2017", "notes"):
        (tmp_path / f"annotations/{name}.json").write_text(json.dumps(content()))

    assert len(images_of(coco("annotations/instances_train2017.json", "train2017"))) == 2


def test_segmentations_are_passed_over(coco: Callable[..., Dataset]) -> None:
    annotations = content()["annotations"]
    annotations[0]["segmentation"] = [[1, 2, 3, 4, 5, 6]]
    annotations[1]["segmentation"] = {"counts": "abc", "size": [48, 64]}

    dataset = coco("instances.json", "images", annotations=annotations)

    assert [len(image.boxes) for image in images_of(dataset)] == [1, 1]


def test_ids_from_zero_shift_by_one(coco: Callable[..., Dataset]) -> None:
    annotations = [{**item, "category_id": 0} for item in content()["annotations"]]
    categories = [{"id": 0, "name": "vehicle"}, {"id": 1, "name": "cyclist"}]

    dataset = coco("instances.json", "images", annotations=annotations, categories=categories)

    assert dataset.label_map.names == {1: "vehicle", 2: "cyclist"}
    assert images_of(dataset)[0].boxes[0].label == 1


def test_placeholder_of_roboflow_is_left_out(coco: Callable[..., Dataset]) -> None:
    categories = [
        {"id": 0, "name": "streets", "supercategory": "none"},
        {"id": 3, "name": "vehicle", "supercategory": "streets"},
    ]

    dataset = coco("train/_annotations.coco.json", "train", categories=categories)

    assert dataset.label_map.names == {3: "vehicle"}
    assert 'the category 0 "streets" has no box' in dataset.notices[0]


def test_names_of_a_label_map_decide_over_ids(coco: Callable[..., Dataset], tmp_path: Path) -> None:
    (tmp_path / "label_map.pbtxt").write_text("item { id: 1 name: 'cyclist' } item { id: 2 name: 'vehicle' }")

    assert images_of(coco("instances.json", "images"))[0].boxes[0].label == 2


def test_ids_decide_where_the_label_map_knows_no_name_and_it_is_told(
    coco: Callable[..., Dataset], tmp_path: Path
) -> None:
    (tmp_path / "label_map.pbtxt").write_text("item { id: 3 name: 'Auto' } item { id: 5 name: 'Rad' }")

    dataset = coco("instances.json", "images")

    assert images_of(dataset)[0].boxes[0].name == "Auto"
    assert "vehicle as Auto, cyclist as Rad" in dataset.notices[0]


def test_frames_of_a_video_are_a_group(coco: Callable[..., Dataset]) -> None:
    images = [{**image, "video_id": 12} for image in content()["images"]]

    assert [image.group for image in images_of(coco("instances.json", "images", images=images))] == ["12", "12"]


@pytest.mark.parametrize(
    ("section", "entry", "sentence"),
    [
        ("images", {"id": 9, "file_name": "9.jpg"}, 'image 2 names the file "9.jpg", which is not in images/.'),
        ("images", {"id": 9, "file_name": "../0.jpg"}, 'image 2 lies outside images/: "../0.jpg"'),
        ("images", {"id": 9, "file_name": "/etc/passwd"}, 'image 2 lies outside images/: "/etc/passwd"'),
        ("images", {"id": 9, "file_name": "a\0b"}, "which no file can have"),
        ("images", {"id": 9, "file_name": "\ud800.jpg"}, "which no file can have"),
        ("images", {"id": 0, "file_name": "1.jpg"}, 'image 2 ("1.jpg") has the id 0, which "0.jpg" has too.'),
        ("images", {"id": [], "file_name": "1.jpg"}, "image 2 has the id [], which is neither"),
        ("images", {"id": 9, "file_name": "1.jpg", "width": -4}, 'image 2 states the size "-4"'),
        ("images", 17, "image 2 has no id or file_name."),
        ("annotations", None, "annotation 2 lacks image_id, bbox or category_id."),
        ("annotations", {"image_id": 77, "category_id": 3, "bbox": [0, 0, 1, 1]}, "belongs to image 77, which"),
        ("annotations", {"image_id": 0, "category_id": 4, "bbox": [0, 0, 1, 1]}, "has the unknown class 4; known are"),
        ("annotations", {"image_id": 0, "category_id": True, "bbox": [0, 0, 1, 1]}, "has the id True"),
        (
            "annotations",
            {"image_id": 0, "category_id": 3, "bbox": [0, 0, 1]},
            "bbox that is not four numbers: [0, 0, 1]",
        ),
        ("annotations", {"image_id": 0, "category_id": 3, "bbox": [0, 0, 1, None]}, "not four numbers"),
        ("annotations", {"image_id": 0, "category_id": 3, "bbox": "0011"}, "not four numbers"),
    ],
)
def test_faulty_entry_is_named(coco: Callable[..., Dataset], section: str, entry: object, sentence: str) -> None:
    dataset = coco("instances.json", "images", **{section: [*content()[section], entry]})

    (message,) = messages(dataset)
    assert message.startswith("instances.json: ")
    assert sentence in message
    assert len(images_of(dataset)) == 2


def test_link_out_of_the_data_set_is_not_followed(coco: Callable[..., Dataset], tmp_path: Path) -> None:
    secret = tmp_path.parent / f"{tmp_path.name}-secret.jpg"
    secret.write_bytes(b"secret")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/2.jpg").symlink_to(secret)

    dataset = coco("instances.json", "images", images=[*content()["images"], {"id": 2, "file_name": "2.jpg"}])

    assert messages(dataset) == ['instances.json: image 2 lies outside images/: "2.jpg" is a link; copy the image in.']


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"images": [{"id": 1}', "is no JSON object"),
        ('{"images": [' + "[" * 100_000, "is no JSON object: it nests too deeply"),
        ('{"images": [{"id": ' + "9" * 10_000 + "}]}", "is no JSON object"),
        ('{"images": [{"id": 1, "file_name": "a"}]} tail', "something follows the object"),
    ],
)
def test_broken_file_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "instances.json").write_text(text)

    with pytest.raises(DataError, match=sentence):
        read_dataset(tmp_path, format="coco")


def test_many_rows_leave_memory_and_come_back_the_same(
    coco: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = [
        {"image_id": n % 2, "category_id": 3 + 2 * (n % 2), "bbox": [n % 30, n % 20, 5, 6]} for n in range(1000)
    ]
    expected = list(coco("instances.json", "images", annotations=annotations).entries())
    monkeypatch.setattr(spill.Spill.__init__, "__defaults__", (7,))

    found = coco("instances.json", "images", annotations=annotations)

    assert list(found.entries()) == expected == list(found.entries())


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_elements_do_not_depend_on_where_a_chunk_ends(tmp_path: Path, chunk: int) -> None:
    written = {"a": [1.5e3, -2, "x", {"b": [[]]}, None, True, 12345678901234567890], "c": {}, "d": [], "e": [0.25]}
    (tmp_path / "a.json").write_text(json.dumps(written, indent=1))

    found = list(elements(tmp_path / "a.json", chunk=chunk))

    assert found == [*(("a", element) for element in written["a"]), ("c", {}), ("e", 0.25)]


@pytest.mark.parametrize("text", ['{"a": [{"b": 1},]}', '{"a": [{"b": 1} {"b": 2}]}', '{"a": [{"b": [{"c": 1}, ]}]}'])
def test_lists_that_are_parsed_at_once_are_held_to_the_grammar(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(ValueError, match="at character"):
        list(elements(tmp_path / "a.json"))


def test_cuts_within_texts_and_inner_lists_are_noticed(tmp_path: Path) -> None:
    content: dict[str, list[Any]] = {
        "a": [{"b": "},{", "c": [{"d": 1}, {"d": 2}]}] * 40,
        "e": [1, {"f": "]},"}],
        "g": [],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))

    found = [list(elements(tmp_path / "a.json", chunk=chunk)) for chunk in (16, 50, 77, 200, 1 << 20)]

    assert found == [[("a", one) for one in content["a"]] + [("e", one) for one in content["e"]]] * 5


def boxes_of(dataset: Dataset) -> list[tuple[float, ...]]:
    return [(box.xmin, box.ymin, box.xmax, box.ymax) for image in images_of(dataset) for box in image.boxes]


@pytest.mark.parametrize(
    ("segmentation", "box"),
    [
        ([[4, 6, 32, 6, 32, 30, 4, 30]], (4, 6, 32, 30)),
        ([[4, 6, 10, 6, 10, 12], [20, 20, 32, 30, 20, 30]], (4, 6, 32, 30)),
        ([4, 6, 32, 6, 32, 30], (4, 6, 32, 30)),
    ],
)
@pytest.mark.parametrize("bbox", [{"bbox": []}, {}, {"bbox": None}])
def test_polygon_without_a_box_becomes_the_box_around_it(
    coco: Callable[..., Dataset], segmentation: list[Any], bbox: dict[str, Any], box: tuple[float, ...]
) -> None:
    annotation = {"id": 1, "image_id": 0, "category_id": 3, "segmentation": segmentation, **bbox}

    assert boxes_of(coco("instances.json", "images", annotations=[annotation])) == [box]


@pytest.mark.parametrize(
    ("segmentation", "sentence"),
    [
        ({"size": [48, 64], "counts": "01"}, "has no bbox, and a segmentation of run lengths; export it with boxes"),
        ([[4, 6, 32]], "has no bbox, and a segmentation that is no polygon: [[4, 6, 32]]"),
        ([["a"] * 6], 'has "a" where a number is expected'),
        (None, "has a bbox that is not four numbers: []"),
    ],
)
def test_segmentation_that_gives_no_box_is_named(
    coco: Callable[..., Dataset], segmentation: Any, sentence: str
) -> None:
    annotation = {"id": 1, "image_id": 0, "category_id": 3, "segmentation": segmentation, "bbox": []}
    dataset = coco("instances.json", "images", annotations=[*content()["annotations"], annotation])

    assert [message.partition(") ")[2] or message for message in messages(dataset)] == [f"{sentence}."]


def test_annotation_with_neither_box_nor_outline_is_named(coco: Callable[..., Dataset]) -> None:
    dataset = coco("a.json", "images", annotations=[{"id": 1, "image_id": 0, "category_id": 3, "segmentation": None}])

    assert messages(dataset) == ['a.json: annotation 0 (of "0.jpg") has a bbox that is not four numbers: None.']


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [("3", "5", {3: "vehicle", 5: "cyclist"}), ("a1b2", "c3d4", {1: "cyclist", 2: "vehicle"})],
)
def test_category_ids_may_be_texts(
    coco: Callable[..., Dataset], first: str, second: str, names: dict[int, str]
) -> None:
    categories = [{"id": first, "name": "vehicle"}, {"id": second, "name": "cyclist"}]
    annotations = [{**each, "category_id": second} for each in content()["annotations"]]

    dataset = coco("instances.json", "images", categories=categories, annotations=annotations)

    assert dataset.label_map.names == names
    assert [box.name for image in images_of(dataset) for box in image.boxes] == ["cyclist", "cyclist"]


def test_class_names_in_place_of_category_ids_are_the_classes(coco: Callable[..., Dataset]) -> None:
    annotations = [{**each, "category_id": "van"} for each in content()["annotations"]]

    dataset = coco("instances.json", "images", categories=[], annotations=annotations)

    assert dataset.label_map.names == {1: "van"}
    assert [box.name for image in images_of(dataset) for box in image.boxes] == ["van", "van"]


@pytest.mark.parametrize(
    ("degrees", "box"), [(0, (4, 6, 32, 30)), (90, (6, 4, 30, 32)), (180, (4, 6, 32, 30)), ("270.0", (6, 4, 30, 32))]
)
def test_box_that_cvat_turned_becomes_what_encloses_it(
    coco: Callable[..., Dataset], degrees: Any, box: tuple[float, ...]
) -> None:
    turned = {**content()["annotations"][0], "attributes": {"occluded": False, "rotation": degrees}}

    assert boxes_of(coco("instances.json", "images", annotations=[turned])) == [pytest.approx(box)]


def test_box_turned_by_half_a_right_angle_grows(coco: Callable[..., Dataset]) -> None:
    turned = {**content()["annotations"][0], "bbox": [10, 10, 20, 20], "attributes": {"rotation": 45.0}}

    (box,) = boxes_of(coco("instances.json", "images", annotations=[turned]))

    assert box == pytest.approx((20 - 200**0.5, 20 - 200**0.5, 20 + 200**0.5, 20 + 200**0.5))


@pytest.mark.parametrize(
    "address",
    [
        "/home/somebody/pictures/0.jpg",
        "C:\\Users\\somebody\\pictures\\0.jpg",
        "images\\0.jpg",
        "project/images/0.jpg",
        "/data/local-files/?d=project/images/0.jpg",
        "http://127.0.0.1:8080/data/upload/7/0.jpg",
        "../../label-studio/data/media/upload/7/0.jpg",
        "..\\..\\label-studio\\data\\media\\upload\\7\\0.jpg",
        "../../label-studio/data/media/upload/7/3f2a1b9c-0.jpg",
        "/data/upload/7/3f2a1b9c-0.jpg",
        "/data/local-files/?d=../project/images/0.jpg",
        "/data/local-files/?d=project%2Fimages%5C0.jpg",
        "/data/local-files/?d=C:\\pictures\\0.jpg",
        "../images/0.jpg",
        "s3://bucket/project/images/0.jpg",
        "https://bucket.s3.amazonaws.com/project/0.jpg?X-Amz-Date=20260101",
        "images/3f2a1b9c-0.jpg",
        "my%20project/0.jpg",
    ],
)
def test_image_is_found_by_the_longest_end_of_its_address(coco: Callable[..., Dataset], address: str) -> None:
    images = [{**content()["images"][0], "file_name": address}, content()["images"][1]]

    dataset = coco("result.json", "images", images=images)

    assert not messages(dataset)
    assert [image.image for image in images_of(dataset)] == ["images/0.jpg", "images/1.jpg"]


@pytest.mark.parametrize(
    "address",
    [
        "../../../outside/secret.jpg",
        "../outside/secret.jpg",
        "/data/local-files/?d=../outside/secret.jpg",
        "/data/local-files/?d=..%2F..%2Foutside%2Fsecret.jpg",
        "images/../../outside/secret.jpg",
        "../secret.jpg",
        "..",
        "../",
        "../../",
        "/data/local-files/?d=",
        "/data/local-files/?d=%00",
        "/data/upload/",
        "../../label-studio/..",
        "../linked/secret.jpg",
        "x/linked/secret.jpg",
    ],
)
def test_address_never_leads_out_of_the_folder(coco: Callable[..., Dataset], tmp_path: Path, address: str) -> None:
    outside = tmp_path.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "secret.jpg").write_bytes(b"")
    (tmp_path / "linked").symlink_to(outside)
    images = [{**content()["images"][0], "file_name": address}, content()["images"][1]]

    dataset = coco("result.json", "images", images=images)

    assert [image.image for image in images_of(dataset)] == ["images/1.jpg"]
    assert any(message.startswith("result.json: image 0 ") for message in messages(dataset))


def test_other_tools_json_beside_coco_is_not_taken_for_it(coco: Callable[..., Dataset], tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text(json.dumps({"categories": [{"id": 0, "name": "car"}], "info": {"year": 2026}}))

    dataset = coco("result.json", "images")

    assert dataset.format == "coco" and len(images_of(dataset)) == 2
    assert dataset.label_map.names == {3: "vehicle", 5: "cyclist"}


@pytest.mark.parametrize(("listed", "named"), [(str, int), (int, str), (str, str), (int, float)])
def test_ids_of_images_and_annotations_match_as_texts_and_numbers(
    coco: Callable[..., Dataset], listed: Callable[[int], Any], named: Callable[[int], Any]
) -> None:
    images = [{"id": listed(10 + n), "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in range(2)]
    annotations = [{"id": n, "image_id": named(10 + n), "category_id": 3, "bbox": [n, 0, 8, 8]} for n in range(2)]
    categories = [{"id": listed(3), "name": "vehicle"}]

    dataset = coco("result.json", "images", images=images, annotations=annotations, categories=categories)

    assert [[box.xmin for box in image.boxes] for image in images_of(dataset)] == [[0], [1]]
    assert not messages(dataset)


def test_ids_that_are_unlike_are_one_error_with_the_way_out(coco: Callable[..., Dataset]) -> None:
    annotations = [{"id": n, "image_id": f"00{n % 2}", "category_id": 3, "bbox": [n, 0, 8, 8]} for n in range(40)]

    dataset = coco("result.json", "images", annotations=annotations)

    assert messages(dataset) == [
        "result.json: 40 annotations belong to images that are not listed, such as annotation 0 to '000'; ids of "
        "listed images are such as 0. Write the same id into image_id and into the image's id."
    ]


def test_text_and_number_of_the_same_digits_are_one_id(coco: Callable[..., Dataset]) -> None:
    images = [{"id": key, "file_name": f"{n}.jpg"} for n, key in enumerate((7, "7"))]

    dataset = coco(
        "result.json", "images", images=images, annotations=[{"image_id": 7, "category_id": 3, "bbox": [0, 0, 8, 8]}]
    )

    assert 'result.json: image 1 ("1.jpg") has the id 7, which "0.jpg" has too.' in messages(dataset)


def test_class_name_in_place_of_a_numbered_categorys_id_is_that_category(coco: Callable[..., Dataset]) -> None:
    annotations = [{"image_id": 0, "category_id": key, "bbox": [0, 0, 8, 8]} for key in ("cyclist", 5, "5")]

    dataset = coco("result.json", "images", annotations=annotations)

    assert [(box.label, box.name) for box in images_of(dataset)[0].boxes] == [(5, "cyclist")] * 3
    assert dataset.label_map.names == {3: "vehicle", 5: "cyclist"}


def test_keypoints_are_read_where_there_is_nothing_else(coco: Callable[..., Dataset]) -> None:
    dataset = coco("annotations/person_keypoints_val2017.json", "val2017")

    assert [image.image for image in images_of(dataset)] == ["val2017/0.jpg", "val2017/1.jpg"]
    assert (dataset.notices, messages(dataset)) == ((), [])
