# SPDX-License-Identifier: Apache-2.0
"""YOLO in the folders that its tools write, with classes as a list or a mapping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from training_src.data.dataset import Box, Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.errors import DataError


@pytest.fixture
def store(tmp_path: Path, encoded_image: Callable[..., bytes]) -> Callable[..., None]:
    """Writes an image of 64 x 48 pixels and its text, if any."""

    def write(image: str, text: str | None = "1 0.5 0.5 0.25 0.5\n", *, labels: str | None = None) -> None:
        file = tmp_path / image
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded_image(len(list(tmp_path.rglob("*")))))
        if text is not None:
            place = tmp_path / (labels or image.replace("images", "labels")).replace(".jpg", ".txt")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    return write


def images_of(folder: Path) -> list[LabelledImage]:
    return [entry for entry in read_dataset(folder).entries() if isinstance(entry, LabelledImage)]


def messages(folder: Path) -> list[str]:
    return [entry.message for entry in read_dataset(folder).entries() if isinstance(entry, Fault)]


def test_shares_become_pixels_and_ids_shift_by_one(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/a.jpg")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]")

    dataset = read_dataset(tmp_path)

    assert (dataset.format, dataset.label_map.names) == ("yolo", {1: "cat", 2: "dog"})
    assert images_of(tmp_path)[0].boxes == (Box(24, 12, 40, 36, 2, "dog", "line 1"),)
    assert (images_of(tmp_path)[0].width, images_of(tmp_path)[0].height) == (64, 48)


@pytest.mark.parametrize("names", ["names:\n  0: cat\n  1: dog\n", "names: {0: cat, 1: dog}", "names: ['cat', dog]"])
def test_names_are_a_list_or_a_mapping(tmp_path: Path, store: Callable[..., None], names: str) -> None:
    store("images/a.jpg")
    (tmp_path / "coco8.yaml").write_text(names)

    assert read_dataset(tmp_path).label_map.names == {1: "cat", 2: "dog"}


def test_names_stay_texts_whatever_yaml_would_make_of_them(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/a.jpg")
    (tmp_path / "data.yaml").write_text("names: [no, 1.50, 2020-01-01]")

    assert list(read_dataset(tmp_path).label_map.names.values()) == ["no", "1.50", "2020-01-01"]


@pytest.mark.parametrize(
    ("train", "val", "settings"),
    [
        ("images/train/a.jpg", "images/val/b.jpg", "path: ../datasets/coco8\ntrain: images/train\nval: images/val\n"),
        (
            "train/images/a.jpg",
            "valid/images/b.jpg",
            "train: ../train/images\nval: ../valid/images\ntest: ../test/images",
        ),
        ("images/train2017/a.jpg", "images/val2017/b.jpg", "train: [images/train2017]\nval: [/data/images/val2017]\n"),
        ("images/train/a.jpg", "images/val/b.jpg", ""),
        ("train/images/a.jpg", "val/images/b.jpg", ""),
        ("pool/images/a.jpg", "pool/images/b.jpg", "train: train.txt\nval: lists/val.txt\n"),
    ],
)
def test_splits_are_where_data_yaml_or_the_layout_says(
    tmp_path: Path, store: Callable[..., None], train: str, val: str, settings: str
) -> None:
    store(train)
    store(val)
    (tmp_path / "data.yaml").write_text(f"names: [cat, dog]\n{settings}")
    (tmp_path / "lists").mkdir()
    (tmp_path / "train.txt").write_text(f"./{train}\n")
    (tmp_path / "lists/val.txt").write_text(f"/home/someone/project/{val}\n")

    images = images_of(tmp_path)

    assert not messages(tmp_path)
    assert [(image.source_id, image.given_split) for image in images] == [(train, "train"), (val, "validation")]
    assert Counter(len(image.boxes) for image in images) == {1: 2}


def test_images_of_two_splits_have_no_split_and_it_is_told(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/train2017/a.jpg")
    (tmp_path / "coco128.yaml").write_text("names: [cat, dog]\ntrain: images/train2017\nval: images/train2017")

    assert [image.given_split for image in images_of(tmp_path)] == [None]
    assert "stands for train, validation" in read_dataset(tmp_path).notices[0]


def test_image_without_a_text_is_background(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/a.jpg")
    store("images/b.jpg", None)
    store("images/c.jpg", "")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]")

    assert [len(image.boxes) for image in images_of(tmp_path)] == [1, 0, 0]


def test_text_beside_the_image_with_classes_txt(tmp_path: Path, store: Callable[..., None]) -> None:
    store("train/images/a.jpg", labels="train/images/a.txt")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "train/labels").mkdir()

    assert images_of(tmp_path)[0].boxes[0].name == "dog"


def test_without_names_classes_are_numbered(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/a.jpg", "4 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1\n")

    assert read_dataset(tmp_path).label_map.names == {1: "class_0", 5: "class_4"}


def test_polygon_becomes_its_box_and_a_sixth_number_is_a_confidence(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/a.jpg", "0 0.25 0.5 0.75 0.25 0.5 0.75\n0 0.5 0.5 0.25 0.5 0.875\n")
    (tmp_path / "data.yaml").write_text("names: [cat]")

    polygon, predicted = images_of(tmp_path)[0].boxes

    assert (polygon.xmin, polygon.ymin, polygon.xmax, polygon.ymax) == (16, 12, 48, 36)
    assert predicted.confidence == 0.875


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("7 0.5 0.5 0.1 0.1", "labels/a.txt: line 1 has the unknown class 7; known are, counted from 0: 0 (cat)."),
        ("-1 0.5 0.5 0.1 0.1", "has the unknown class -1"),
        ("cat 0.5 0.5 0.1 0.1", 'begins with "cat" where the class\'s number is expected'),
        ("0 0.5 0.5 0.1", "is no class with four numbers"),
        ("0 320 240 64 48", "has values beyond 1 where shares of the image are expected"),
        ("0 a b c d", 'has "a" where a number is expected'),
    ],
)
def test_faulty_line_is_named(tmp_path: Path, store: Callable[..., None], line: str, sentence: str) -> None:
    store("images/a.jpg", line)
    (tmp_path / "data.yaml").write_text("names: [cat]")

    (message,) = messages(tmp_path)
    assert sentence in message


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("names: &a [*a, *a]", "is no YAML"),
        (
            "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]\n" for n in range(9)) + "names: *a8",
            "becomes far too large where its aliases",
        ),
        ("names: [" * 5000, "nests too deeply|is no YAML"),
        ("names: !!python/object/apply:os.system ['true']", "no YAML|neither a list|unknown class|nothing"),
        ("names: {cat: 0}", "names that are not numbered"),
        ("names: ['', dog]", "has the class name"),
        ("names: 7", "neither a list nor a mapping"),
        ("- names", "holds no mapping"),
    ],
)
def test_hostile_data_yaml_is_refused(tmp_path: Path, store: Callable[..., None], settings: str, sentence: str) -> None:
    store("images/a.jpg", "0 0.5 0.5 0.1 0.1")
    (tmp_path / "data.yaml").write_text(settings)

    if "python/object" in settings:
        assert read_dataset(tmp_path).label_map.names == {1: "true"}  # a tag is only ignored
        return
    with pytest.raises(DataError, match=sentence):
        read_dataset(tmp_path)


def test_names_may_stand_under_an_anchor(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/a.jpg")
    (tmp_path / "data.yaml").write_text("base: &base {nc: 2, names: &names [cat, dog]}\n<<: *base\nother: *names\n")

    assert read_dataset(tmp_path).label_map.names == {1: "cat", 2: "dog"}


def test_other_tools_settings_beside_the_right_ones_are_not_taken(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/train/a.jpg")
    store("images/val/b.jpg")
    (tmp_path / "config.yaml").write_text("train: {epochs: 3}\nval: nowhere\n")
    (tmp_path / "model.yaml").write_text("names: [wrong, wrong too]\n")
    (tmp_path / "set.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")

    dataset = read_dataset(tmp_path)

    assert (dataset.label_map.names, dataset.notices) == ({1: "cat", 2: "dog"}, ())
    assert [image.given_split for image in images_of(tmp_path)] == ["train", "validation"]


def test_pose_labels_begin_with_their_box(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/a.jpg", "0 0.5 0.5 0.25 0.5 0.1 0.1 2 0.9 0.9 2\n")
    (tmp_path / "data.yaml").write_text("names: [person]\nkpt_shape: [2, 3]\n")

    (box,) = images_of(tmp_path)[0].boxes

    assert (box.xmin, box.ymin, box.xmax, box.ymax) == (24, 12, 40, 36)


@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt"])
def test_list_of_classes_gives_names(tmp_path: Path, store: Callable[..., None], place: str) -> None:
    store("images/a.jpg")
    (tmp_path / place).write_text("cat\ndog\n")

    dataset = read_dataset(tmp_path)

    assert dataset.label_map.names == {1: "cat", 2: "dog"}
    assert not messages(tmp_path)


@pytest.mark.parametrize(("images", "labels"), [("images", "Labels"), ("Images", "labels"), ("Images", "Labels")])
def test_capitals_of_the_folders_do_not_matter(
    tmp_path: Path, store: Callable[..., None], images: str, labels: str
) -> None:
    store(f"{images}/a.jpg", labels=f"{labels}/a.jpg")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]")

    assert [len(image.boxes) for image in images_of(tmp_path)] == [1]


def test_texts_without_an_image_and_images_elsewhere_are_counted(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/train/a.jpg")
    store("images/val/b.jpg")
    store("images/rest/c.jpg")
    for name in ("x", "y"):
        (tmp_path / f"labels/train/{name}.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]")

    assert messages(tmp_path) == [
        "2 text files in labels/train, labels/val belong to no image and are left out.",
        "1 image in images/rest is left out though there are annotations such as labels/rest/c.txt: the folder's name "
        "is none of a split. Call it train, val or test, or merge the folders by a sources.yaml.",
    ]


DARKNET = "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\nbackup = backup/\n"


def test_cvats_yolo_is_read(tmp_path: Path, store: Callable[..., None]) -> None:
    for name, split in (("a", "train"), ("b", "valid")):
        place = f"obj_{split}_data/{name}.jpg"
        store(place, labels=place)
        (tmp_path / f"{split}.txt").write_text(f"data/{place}\n")
    (tmp_path / "obj.data").write_text(DARKNET)
    (tmp_path / "obj.names").write_text("cat\ndog\n")

    assert read_dataset(tmp_path).label_map.names == {1: "cat", 2: "dog"}
    assert [(image.image, image.given_split) for image in images_of(tmp_path)] == [
        ("obj_train_data/a.jpg", "train"),
        ("obj_valid_data/b.jpg", "validation"),
    ]
    assert not messages(tmp_path)


def test_roboflows_darknet_is_read(tmp_path: Path, store: Callable[..., None]) -> None:
    for name, split in (("a", "train"), ("b", "valid")):
        store(f"{split}/{name}.jpg", labels=f"{split}/{name}.jpg")
        (tmp_path / f"{split}/_darknet.labels").write_text("cat\ndog\n")

    assert read_dataset(tmp_path).label_map.names == {1: "cat", 2: "dog"}
    assert [image.given_split for image in images_of(tmp_path)] == ["train", "validation"]
    assert not messages(tmp_path)


def test_labelimgs_flat_yolo_is_read(tmp_path: Path, store: Callable[..., None]) -> None:
    store("a.jpg", labels="a.jpg")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")

    assert [image.boxes[0].name for image in images_of(tmp_path)] == ["dog"]
    assert not messages(tmp_path)


def test_label_studios_yolo_is_read(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/3f2a1b9c-a.jpg")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "notes.json").write_text('{"categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]}')

    dataset = read_dataset(tmp_path)

    assert (dataset.format, dataset.label_map.names, dataset.notices) == ("yolo", {1: "cat", 2: "dog"}, ())


def test_text_that_is_a_link_out_of_the_data_set_is_not_read(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/a.jpg", None)
    store("images/b.jpg")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]")
    (tmp_path / "labels/a.txt").symlink_to("/etc/hostname")

    assert messages(tmp_path) == ["labels/a.txt is a link to a place outside the data set; copy the file in."]


@pytest.mark.parametrize("name", ["classes.txt", "_darknet.labels"])
def test_lists_that_number_classes_differently_are_an_error(
    tmp_path: Path, store: Callable[..., None], name: str
) -> None:
    for split, names in (("train", "dog\ncat\n"), ("test", "cat\ndog\n")):
        store(f"{split}/{split}.jpg", labels=f"{split}/{split}.jpg")
        (tmp_path / split / name).write_text(names)

    with pytest.raises(DataError, match=rf'train/{name} calls class 0 "dog", test/{name} calls it "cat"'):
        read_dataset(tmp_path)


def test_longest_of_lists_that_agree_gives_the_names(tmp_path: Path, store: Callable[..., None]) -> None:
    for split, names in (("train", "cat\ndog\n"), ("test", "cat\n")):
        store(f"{split}/{split}.jpg", labels=f"{split}/{split}.jpg")
        (tmp_path / split / "classes.txt").write_text(names)

    assert read_dataset(tmp_path).label_map.names == {1: "cat", 2: "dog"}


def test_subsets_are_called_as_a_cvat_task_calls_them(tmp_path: Path, store: Callable[..., None]) -> None:
    for name, split in (("a", "Train"), ("b", "Validation"), ("c", "Test")):
        place = f"obj_{split}_data/{name}.jpg"
        store(place, labels=place)
        (tmp_path / f"{split}.txt").write_text(f"data/{place}\n")
    lists = "".join(f"{split} = data/{split}.txt\n" for split in ("Train", "Validation", "Test"))
    (tmp_path / "obj.data").write_text(f"classes = 2\nnames = data/obj.names\n{lists}")
    (tmp_path / "obj.names").write_text("cat\ndog\n")

    splits = {image.image.rpartition("/")[2]: image.given_split for image in images_of(tmp_path)}

    assert splits == {"a.jpg": "train", "b.jpg": "validation", "c.jpg": "test"}
    assert not messages(tmp_path)


@pytest.mark.parametrize("file", ["config/data.yaml", None])
def test_names_that_are_nowhere_to_be_found_are_missed(
    tmp_path: Path, store: Callable[..., None], file: str | None
) -> None:
    store("images/a.jpg")
    if file:
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text("names: [cat, dog]")

    (notice,) = read_dataset(tmp_path).notices

    assert notice.startswith("Nothing names the classes") and "classes.txt" in notice


@pytest.mark.parametrize("inner", ["data", "obj_train_data", "frames"])
@pytest.mark.parametrize("names", ["obj.names", "classes.txt"])
def test_fiftyones_yolov4_is_read(tmp_path: Path, store: Callable[..., None], inner: str, names: str) -> None:
    store(f"{inner}/000001.jpg", labels=f"{inner}/000001.jpg")
    (tmp_path / names).write_text("cat\ndog\n")
    (tmp_path / "images.txt").write_text(f"{inner}/000001.jpg\n")

    assert read_dataset(tmp_path).format == "yolo"
    assert [(image.image, image.boxes[0].name) for image in images_of(tmp_path)] == [(f"{inner}/000001.jpg", "dog")]
    assert not messages(tmp_path)


def test_fiftyones_yolov4_of_each_split_is_read(tmp_path: Path, store: Callable[..., None]) -> None:
    for name, split in (("a", "train"), ("b", "validation")):
        store(f"{split}/data/{name}.jpg", labels=f"{split}/data/{name}.jpg")
        (tmp_path / f"{split}/obj.names").write_text("cat\ndog\n")
        (tmp_path / f"{split}/images.txt").write_text(f"data/{name}.jpg\n")

    assert [(image.given_split, image.boxes[0].name) for image in images_of(tmp_path)] == [
        ("train", "dog"),
        ("validation", "dog"),
    ]
    assert not messages(tmp_path)


@pytest.mark.parametrize("labels", ["annotations/a.jpg", "train_labels/a.jpg"])
def test_texts_that_lie_elsewhere_are_an_error(tmp_path: Path, store: Callable[..., None], labels: str) -> None:
    store("images/a.jpg", labels=labels)
    (tmp_path / "data.yaml").write_text("names: [cat, dog]")

    assert messages(tmp_path) == [
        "No image has a text: they are looked for beside the images, and of images in images/ in labels/."
    ]


@pytest.mark.parametrize("line", ["0,0.5,0.5,0.25,0.5", "0 0,5 0,5 0,25 0,5", "0, 0.5, 0.5, 0.25, 0.5"])
def test_commas_in_a_line_are_said_to_be_too_many(tmp_path: Path, store: Callable[..., None], line: str) -> None:
    store("images/a.jpg", f"{line}\n")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]")

    assert messages(tmp_path) == [
        f'labels/a.txt: line 1 has commas: "{line}"; write points in numbers and blanks between them.'
    ]


def test_fiftyones_yolov5_is_read(tmp_path: Path, store: Callable[..., None]) -> None:
    for name, split in (("a", "train"), ("b", "val")):
        store(f"images/{split}/{name}.jpg")
    (tmp_path / "dataset.yaml").write_text(
        "names:\n  0: cat\n  1: dog\npath: /home/x/export\ntrain: ./images/train/\nval: ./images/val/\n"
    )

    assert [(image.given_split, image.boxes[0].name) for image in images_of(tmp_path)] == [
        ("train", "dog"),
        ("validation", "dog"),
    ]
    assert not messages(tmp_path)


def test_text_of_two_images_is_a_fault(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/a.jpg")
    (tmp_path / "images/a.png").write_bytes((tmp_path / "images/a.jpg").read_bytes())
    (tmp_path / "data.yaml").write_text("names: [cat, dog]")

    assert messages(tmp_path) == [
        "images/a.png has the text labels/a.txt, which may be of images/a.jpg; remove one of the images, or give each "
        "a name of its own."
    ]


def test_empty_line_between_names_is_an_error(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/a.jpg")
    (tmp_path / "classes.txt").write_text("cat\n\ndog\n")

    with pytest.raises(DataError, match=r"classes\.txt has an empty line 2 in front of \"dog\"; remove it, or name"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("text", ["\ufeffcat\r\ndog\r\n", "cat\ndog\n\n\n", "cat\ndog"])
def test_empty_lines_behind_names_do_not_matter(tmp_path: Path, store: Callable[..., None], text: str) -> None:
    store("images/a.jpg")
    (tmp_path / "classes.txt").write_text(text)

    assert read_dataset(tmp_path).label_map.names == {1: "cat", 2: "dog"}


def test_list_that_contradicts_the_settings_is_an_error(tmp_path: Path, store: Callable[..., None]) -> None:
    store("images/a.jpg")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]")
    (tmp_path / "labels/classes.txt").write_text("dog\ncat\n")

    with pytest.raises(DataError, match=r'labels/classes\.txt calls class 0 "dog", data\.yaml calls it "cat"'):
        read_dataset(tmp_path)


def test_list_that_agrees_with_the_settings_as_far_as_it_goes_is_none(
    tmp_path: Path, store: Callable[..., None]
) -> None:
    store("images/a.jpg")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]")
    (tmp_path / "classes.txt").write_text("cat\n")

    assert read_dataset(tmp_path).label_map.names == {1: "cat", 2: "dog"}
