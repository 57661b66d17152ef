# SPDX-License-Identifier: Apache-2.0
"""Each planted fault of an image or box gives one sentence that names file and box, or is repaired and told."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from training_src.data.checks.boxes import CheckedBoxes, check_boxes
from training_src.data.checks.config import check_num_classes
from training_src.data.checks.image import CheckedImage, ImageChecks
from training_src.data.checks.policy import CHECKS, DataPolicy
from training_src.data.dataset import Box, Dataset, Fault, LabelledImage
from training_src.data.formats import read_dataset
from training_src.data.images import DecodeCheck
from training_src.data.label_map import LabelMap
from training_src.errors import ConfigurationError

Edit = Callable[..., None]
Encode = Callable[..., bytes]


def test_sound_data_set_has_no_fault(voc_folder: Path) -> None:
    verdict = check(read_dataset(voc_folder), _checks())

    assert (verdict.faults, len(verdict.images)) == ((), 6)


@pytest.mark.parametrize("how", ["full", "reduced", "header"])
def test_truncated_image_is_named(voc_folder: Path, how: DecodeCheck) -> None:
    file = voc_folder / "JPEGImages/street_2.jpg"
    file.write_bytes(file.read_bytes()[:-200])

    fault = _only_fault(voc_folder, how=how)

    assert (fault.file, fault.check, fault.severity) == ("JPEGImages/street_2.jpg", "image", "error")
    assert fault.message.startswith("JPEGImages/street_2.jpg cannot be decoded")


def test_broken_image_is_left_out_by_a_fix(voc_folder: Path) -> None:
    (voc_folder / "JPEGImages/street_2.jpg").write_bytes(b"")

    verdict = check(read_dataset(voc_folder), _checks(DataPolicy().with_fixes()))

    assert len(verdict.images) == 5
    assert [(fault.check, fault.severity) for fault in verdict.faults] == [("image", "notice")]
    assert "was left out" in verdict.faults[0].message


def test_bytes_of_another_format_are_named(voc_folder: Path, encoded_image: Encode) -> None:
    (voc_folder / "JPEGImages/street_1.jpg").write_bytes(encoded_image(1, ".png"))

    fault = _only_fault(voc_folder)

    assert (fault.check, fault.severity) == ("format", "warning")
    assert fault.message == "JPEGImages/street_1.jpg holds PNG, not the JPEG that its name says; rename it."
    assert _check_one(voc_folder, "street_1").format == "png"


@pytest.mark.parametrize(
    ("name", "mode", "what"), [("JPEG", "CMYK", "has the colour space CMYK"), ("WEBP", "RGB", "is WebP")]
)
def test_what_nobody_reads_is_named_by_what_it_is(voc_folder: Path, name: str, mode: str, what: str) -> None:
    Image.new(mode, (64, 48)).save(voc_folder / "JPEGImages/street_1.jpg", name)

    fault = _only_fault(voc_folder)

    assert (fault.file, fault.check, fault.severity) == ("JPEGImages/street_1.jpg", "other_format", "error")
    assert fault.message.startswith(f"JPEGImages/street_1.jpg {what}, which neither TensorFlow nor the server reads; ")


def test_images_of_the_same_bytes_stay_together_where_no_sequence_says_more(voc_folder: Path) -> None:
    pictures = voc_folder / "JPEGImages"
    (pictures / "street_1.jpg").write_bytes((pictures / "street_0.jpg").read_bytes())
    first, copy, other = (_check_one(voc_folder, f"street_{number}") for number in range(3))

    assert first.group == copy.group != other.group
    assert replace(first, sequence="drive 7").group == "drive 7"


def test_a_test_set_is_sliced_by_sequences_that_are_more_than_likely(voc_folder: Path) -> None:
    alone = replace(_check_one(voc_folder, "street_0"), sequence="", likely=False)
    alone = replace(alone, labelled=replace(alone.labelled, attributes={"camera": "front"}))

    assert alone.columns == replace(alone, sequence="drive 7", likely=True).columns == {"camera": "front"}
    assert replace(alone, sequence="drive 7").columns == {"sequence": "drive 7", "camera": "front"}


def test_image_that_is_gone_after_it_was_listed_is_named_without_its_address(voc_folder: Path) -> None:
    entries = list(read_dataset(voc_folder).entries())
    (voc_folder / "JPEGImages/street_2.jpg").unlink()
    told = [fault for entry in entries if not isinstance(entry, Fault) for fault in _checks().examine(entry).faults]

    assert [fault.message for fault in told] == [
        "JPEGImages/street_2.jpg cannot be read (No such file or directory); export it again, or remove it and its "
        "annotation."
    ]


@pytest.mark.parametrize("side", [2, 3])
def test_one_pixel_of_a_tiny_image_is_no_share(voc_folder: Path, side: int) -> None:
    kept = _boxes_of(voc_folder, [(0, 0, 1, 0.5)], DataPolicy().with_fixes(), size=(side, side))
    assert [kept.boxes[0].xmax, kept.boxes[0].ymax] == ([1, 0.5] if side == 2 else [3, 1.5])


def test_wrong_stated_size_is_named_and_fixed_where_the_boxes_fit(voc_folder: Path) -> None:
    _replace(voc_folder / "Annotations/street_1.xml", "<width>64</width>", "<width>65</width>")

    fault = _only_fault(voc_folder)
    fixed = check(read_dataset(voc_folder), _checks(DataPolicy().with_fixes()))

    assert (fault.file, fault.check) == ("Annotations/street_1.xml", "size")
    assert "65 x 48" in fault.message and "64 x 48" in fault.message
    assert [found.severity for found in fixed.faults] == ["notice"]
    assert {image.labelled.width for image in fixed.images} == {64}


def test_decompression_bomb_is_not_decoded(voc_folder: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    (voc_folder / "JPEGImages/street_3.jpg").write_bytes(png)

    fault = _only_fault(voc_folder)

    assert (fault.check, fault.severity) == ("bomb", "error")
    assert "60000 x 60000 pixels, more than the 100 megapixels" in fault.message


@pytest.mark.parametrize(("width", "found"), [(1000, []), (1001, ["bomb"])])
def test_an_image_may_have_as_many_pixels_as_the_policy_says(
    voc_folder: Path, encoded_image: Encode, width: int, found: list[str]
) -> None:
    (voc_folder / "JPEGImages/street_3.jpg").write_bytes(encoded_image(3, ".jpg", (width, 1000)))
    (voc_folder / "Annotations/street_3.xml").write_text("<annotation><filename>street_3.jpg</filename></annotation>")
    policy = DataPolicy({**CHECKS, "bomb": replace(CHECKS["bomb"], thresholds={"megapixels": 1.0})})

    assert [fault.check for fault in check(read_dataset(voc_folder), _checks(policy)).faults] == found


def test_extreme_image_is_named(voc_folder: Path, encoded_image: Encode) -> None:
    (voc_folder / "JPEGImages/street_3.jpg").write_bytes(encoded_image(3, ".jpg", (400, 20)))
    (voc_folder / "Annotations/street_3.xml").write_text(
        "<annotation><filename>street_3.jpg</filename><size><width>400</width><height>20</height></size></annotation>"
    )

    fault = _only_fault(voc_folder)

    assert (fault.check, fault.severity) == ("image_size", "warning")


@pytest.mark.parametrize(
    ("size", "found"),
    [
        ((16, 80), []),
        ((100, 20), []),
        ((15, 60), ["image_size"]),
        ((101, 50), ["image_size"]),
        ((81, 16), ["image_size"]),
    ],
)
def test_an_image_may_be_as_small_large_and_long_as_the_policy_says(
    voc_folder: Path, encoded_image: Encode, size: tuple[int, int], found: list[str]
) -> None:
    (voc_folder / "JPEGImages/street_3.jpg").write_bytes(encoded_image(3, ".jpg", size))
    (voc_folder / "Annotations/street_3.xml").write_text("<annotation><filename>street_3.jpg</filename></annotation>")
    thresholds = {"least": 16, "greatest": 100, "aspect": 5}
    policy = DataPolicy({**CHECKS, "image_size": replace(CHECKS["image_size"], thresholds=thresholds)})

    assert [fault.check for fault in check(read_dataset(voc_folder), _checks(policy)).faults] == found


@pytest.mark.parametrize(
    ("edges", "severity"),
    [
        ((0, 0, 64, 48), "notice"),
        ((-1, 0, 64, 48), "error"),
        ((0, -1, 64, 48), "error"),
        ((0, 0, 65, 48), "error"),
        ((0, 0, 64, 49), "error"),
    ],
)
def test_a_stated_size_is_corrected_where_the_boxes_reach_no_further_than_the_image(
    voc_folder: Path, edges: tuple[int, int, int, int], severity: str
) -> None:
    labelled = _check_one(voc_folder, "street_1").labelled
    box = Box(*edges, label=1, name="car", place="object 1")
    wrong = replace(labelled, width=80, height=60, boxes=(box,))

    faults = _checks(DataPolicy().with_fixes()).examine(wrong).faults

    assert [fault.severity for fault in faults if fault.check == "size"] == [severity]


@pytest.mark.parametrize(
    ("edges", "rule", "words", "fixed"),
    [
        ([4, 6, 70, 30], "outside", "(4, 6, 70, 30) lies outside its image of 64 x 48 pixels, by 6", [4, 6, 64, 30]),
        ([4, 6, 20, 54], "outside", "by 6", [4, 6, 20, 48]),
        ([-6, 6, 20, 30], "outside", "by 6", [0, 6, 20, 30]),
        ([4, -6, 20, 30], "outside", "by 6", [4, 0, 20, 30]),
        ([-10, 6, 9, 30], "outside", "by 10", None),
        ([-16, 6, 16, 30], "outside", "by 16", [0, 6, 16, 30]),
        ([32, 24, 96, 72], "outside", "by 32", None),
        ([4, 40, 20, 60], "outside", "by 12", None),
        ([64.5, 6, 65, 30], "outside", "wholly outside", None),
        ([64, 6, 65, 30], "outside", "wholly outside", None),
        ([4, 48, 20, 49], "outside", "wholly outside", None),
        ([32, 6, 4, 30], "corners", "swapped corners", [4, 6, 32, 30]),
        ([4, 6, 4, 30], "area", "has no area", None),
        ([4, 6, 30, 6], "area", "has no area", None),
        ([float("nan"), 6, 4, 30], "box", "no finite number", None),
        (
            [0.25, 0.5, 0.75, 1.0],
            "normalised",
            "its 1 box, such as (0.25, 0.5, 0.75, 1), go from 0 to 1 where pixels are expected",
            [16, 24, 48, 48],
        ),
    ],
)
def test_faulty_box_is_named_or_fixed(
    builtin_folder: Path, edit_builtin: Edit, edges: list[float], rule: str, words: str, fixed: list[float] | None
) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "annotations", 3, bbox=edges)

    fault = _only_fault(builtin_folder)
    repaired = check(read_dataset(builtin_folder), _checks(DataPolicy().with_fixes()))

    assert (fault.file, fault.check, fault.severity) == ("train/annotations.json", rule, "error")
    assert fault.image == "train/images/3.jpg"
    assert fault.message.startswith("train/annotations.json: train/images/3.jpg: ")
    if rule != "normalised":
        assert fault.box is not None and fault.box.startswith("annotation 3")
        assert "annotation 3 (pedestrian)" in fault.message
    assert words in fault.message
    assert [found.severity for found in repaired.faults] == ["notice"]
    (image,) = [image for image in repaired.images if image.labelled.source_id == "train/images/3.jpg"]
    assert [[box.xmin, box.ymin, box.xmax, box.ymax] for box in image.labelled.boxes] == ([fixed] if fixed else [])


@pytest.mark.parametrize(
    ("edges", "rule", "words"),
    [
        ([4, 6, 5, 30], "box_size", "is only 1 x 24 pixels"),
        ([0, 6, 64, 8], "box_aspect", "is 32 times as long as wide"),
        ([0, 6, 50.25, 8], "box_aspect", "is 25 times as long as wide"),
    ],
)
def test_extreme_box_is_a_warning(
    builtin_folder: Path, edit_builtin: Edit, edges: list[float], rule: str, words: str
) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "annotations", 3, bbox=edges)

    fault = _only_fault(builtin_folder)

    assert (fault.check, fault.severity) == (rule, "warning")
    assert words in fault.message


@pytest.mark.parametrize("edges", [[4, 6, 6, 30], [0, 6, 50, 8]], ids=["two wide", "25 times as long"])
def test_box_that_just_goes_is_none(builtin_folder: Path, edit_builtin: Edit, edges: list[float]) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "annotations", 3, bbox=edges)
    assert check(read_dataset(builtin_folder), _checks()).faults == ()


def test_repeated_annotation_is_named_and_fixed(builtin_folder: Path, edit_builtin: Edit) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "annotations", 2, image_id=0)

    fault = _only_fault(builtin_folder)
    repaired = check(read_dataset(builtin_folder), _checks(DataPolicy().with_fixes()))

    assert fault.check == "duplicate"
    assert "annotation 2" in fault.message and "repeats annotation 0" in fault.message
    assert sum(image.dropped for image in repaired.images) == 1


def test_what_follows_a_box_that_is_left_out_is_kept(voc_folder: Path) -> None:
    edges = [(4, 6, 30, 30), (4, 6, 30, 30), (9, 6, 30, 30), (9, 6, 9, 6), (10, 6, 30, 30)]
    kept = _boxes_of(voc_folder, edges, DataPolicy().with_fixes())
    assert (kept.dropped, [box.xmin for box in kept.boxes]) == (2, [4, 9, 10])


def test_a_box_that_lies_wholly_outside_goes_however_little_is_wanted_of_it(voc_folder: Path) -> None:
    policy = DataPolicy().with_fixes()
    outside = policy.checks["outside"]
    little = replace(outside, thresholds={**outside.thresholds, "kept_area": 0.0})
    kept = _boxes_of(voc_folder, [(90, 6, 95, 30)], replace(policy, checks={**policy.checks, "outside": little}))
    assert (kept.dropped, kept.boxes) == (1, ())


def test_shares_are_told_of_all_boxes_or_left_as_they_are(voc_folder: Path) -> None:
    edges, told = [(0.0, 0.5, 0.25, 1.0), (0.5, 0.5, 1.0, 1.0)], list[Fault]()
    assert _boxes_of(voc_folder, edges, DataPolicy(), told).boxes == ()
    assert "its 2 boxes, such as (0, 0.5, 0.25, 1), go from 0 to 1" in told[0].message
    policy = DataPolicy()
    off = replace(policy.checks["normalised"], handling="off")
    as_given = _boxes_of(voc_folder, edges, replace(policy, checks={**policy.checks, "normalised": off}))
    assert [box.xmax for box in as_given.boxes] == [0.25, 1]


def test_unknown_classes_are_named(builtin_folder: Path, voc_folder: Path, edit_builtin: Edit) -> None:
    edit_builtin(builtin_folder / "val/annotations.json", "annotations", 1, category_id=7)
    _replace(voc_folder / "Annotations/street_4.xml", "cyclist", "tram")

    builtin, voc = _only_fault(builtin_folder), _only_fault(voc_folder)

    assert builtin.check == voc.check == "class"
    assert "val/annotations.json: annotation 1" in builtin.message and "unknown class 7" in builtin.message
    assert voc.message.startswith('Annotations/street_4.xml: object 1 has the unknown class "tram"')


@pytest.mark.parametrize("content", ["", "  \n", "<annotation>", "<html/>"])
def test_faulty_annotation_file_is_named_once(voc_folder: Path, content: str) -> None:
    (voc_folder / "Annotations/street_0.xml").write_text(content)

    assert _only_fault(voc_folder).file == "Annotations/street_0.xml"


@pytest.mark.parametrize(
    ("given", "clipped"),
    [
        ([-1, 6, 66, 30], [0, 6, 64, 30]),
        ([-0.5, 6, 20, 30], [0, 6, 20, 30]),
        ([5, -1, 20, 30], [5, 0, 20, 30]),
        ([5, 6, 65, 30], [5, 6, 64, 30]),
        ([5, 6, 20, 49], [5, 6, 20, 48]),
    ],
)
def test_box_that_leaves_its_image_by_two_pixels_is_clipped_and_told(
    builtin_folder: Path, edit_builtin: Edit, given: list[float], clipped: list[float]
) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "annotations", 0, bbox=given)

    verdict = check(read_dataset(builtin_folder), _checks())
    (repaired,) = [image for image in verdict.images if image.clipped]

    assert [fault.severity for fault in verdict.faults] == ["notice"]
    box = repaired.labelled.boxes[0]
    assert [box.xmin, box.ymin, box.xmax, box.ymax] == clipped
    assert verdict.faults[0].message == (
        "train/annotations.json: train/images/0.jpg: 1 box clipped to the image (2 pixels outside at most)."
    )


def test_a_notice_names_the_image_once(voc_folder: Path) -> None:
    _replace(voc_folder / "Annotations/street_0.xml", "<xmax>", "<xmax>6")
    (fault,) = check(read_dataset(voc_folder), _checks(DataPolicy().with_fixes())).faults
    assert fault.message == "Annotations/street_0.xml: 1 box dropped."


def test_repairs_are_counted_in_words(builtin_folder: Path, edit_builtin: Edit) -> None:
    policy, annotations = DataPolicy().with_fixes(), builtin_folder / "train/annotations.json"
    edit_builtin(annotations, "annotations", 0, bbox=[32, 6, 4, 30])
    assert ": 1 box " in "".join(fault.message for fault in check(read_dataset(builtin_folder), _checks(policy)).faults)


def test_box_that_is_a_point_is_dropped_and_told(builtin_folder: Path, edit_builtin: Edit) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "annotations", 0, bbox=[5, 6, 5, 6])

    verdict = check(read_dataset(builtin_folder), _checks())

    assert [(fault.check, fault.severity) for fault in verdict.faults] == [("point", "notice")]
    assert "1 box that is a single point dropped" in verdict.faults[0].message


def test_thresholds_and_severities_are_the_policys(builtin_folder: Path, edit_builtin: Edit) -> None:
    edit_builtin(builtin_folder / "train/annotations.json", "annotations", 0, bbox=[4, 6, 70, 30])
    wide = replace(CHECKS["outside"], thresholds={**CHECKS["outside"].thresholds, "tolerance": 8})
    mild = replace(CHECKS["outside"], handling="warning")

    clipped = check(read_dataset(builtin_folder), _checks(DataPolicy({**CHECKS, "outside": wide})))
    told = check(read_dataset(builtin_folder), _checks(DataPolicy({**CHECKS, "outside": mild})))
    quiet = check(
        read_dataset(builtin_folder), _checks(DataPolicy({**CHECKS, "outside": replace(mild, handling="off")}))
    )

    assert [fault.severity for fault in clipped.faults] == ["notice"]
    assert [fault.severity for fault in told.faults] == ["warning"]
    assert quiet.faults == ()


CONFIG = "model { %s { num_classes: %d  # of the label map\n } }\ntrain_config { batch_size: 8 }\n"


@pytest.mark.parametrize("architecture", ["ssd", "faster_rcnn"])
def test_num_classes_must_reach_the_greatest_label_id(tmp_path: Path, architecture: str) -> None:
    label_map = LabelMap({1: "vehicle", 2: "pedestrian", 4: "cyclist"})
    config = tmp_path / "pipeline.config"

    config.write_text(CONFIG % (architecture, 2))
    fault = check_num_classes(config, label_map)
    assert fault is not None
    assert fault.check == "num_classes"
    assert "num_classes is 2, but the greatest label id is 4" in fault.message

    config.write_text(CONFIG % (architecture, 3))
    fault = check_num_classes(config, label_map)
    assert fault is not None
    assert fault.check == "layout", "a notice: the training takes it as 4"
    assert fault.message.startswith("pipeline.config: num_classes is 3, and the label ids have gaps (ids: 1 (vehicle)")
    assert fault.message.endswith("; the greatest, 4, is taken.")

    config.write_text(CONFIG % (architecture, 4))
    assert check_num_classes(config, label_map) is None


@pytest.mark.parametrize("between", [" ", " } model { "], ids=["ssd", "model"])
def test_of_a_doubled_message_the_last_counts(tmp_path: Path, between: str) -> None:
    config = tmp_path / "pipeline.config"
    config.write_text("model { ssd { num_classes: 1 }" + between + "ssd { num_classes: 3 num_classes: 2 } }")

    assert check_num_classes(config, LabelMap({1: "vehicle", 2: "cyclist", 3: "tram"})) is not None
    assert check_num_classes(config, LabelMap({1: "vehicle", 2: "cyclist"})) is None


@pytest.mark.parametrize("text", ["model { ssd { } }", "not a config"])
def test_config_without_num_classes_is_refused(tmp_path: Path, text: str) -> None:
    config = tmp_path / "pipeline.config"
    config.write_text(text)

    with pytest.raises(ConfigurationError, match=r"pipeline\.config"):
        check_num_classes(config, LabelMap({1: "vehicle"}))


@dataclass(frozen=True)
class Checked:
    """The images that are sound, and everything that is wrong with the others."""

    images: tuple[CheckedImage, ...]
    faults: tuple[Fault, ...]


def check(dataset: Dataset, checks: ImageChecks) -> Checked:
    images: list[CheckedImage] = []
    faults: list[Fault | None] = []
    for entry in dataset.entries():
        if isinstance(entry, Fault):
            faults.append(checks.policy.judge(entry))
            continue
        outcome = checks.examine(entry)
        faults += outcome.faults
        images += [outcome.image] if outcome.image else []
    return Checked(tuple(images), tuple(filter(None, faults)))


def _checks(
    policy: DataPolicy | None = None, how: DecodeCheck = "reduced", work: Path = Path("/nowhere")
) -> ImageChecks:
    return ImageChecks(policy or DataPolicy(), how, work)


def _boxes_of(
    folder: Path,
    edges: Sequence[tuple[float, float, float, float]],
    policy: DataPolicy,
    told: list[Fault] | None = None,
    size: tuple[int, int] = (64, 48),
) -> CheckedBoxes:
    """What is kept of boxes of one class in the first image."""
    (entry, *_) = read_dataset(folder).entries()
    assert isinstance(entry, LabelledImage)
    boxes = [Box(*each, 1, "vehicle", f"object {number}") for number, each in enumerate(edges)]
    return check_boxes(replace(entry, boxes=boxes), *size, policy, (list[Fault]() if told is None else told).append)


def _only_fault(folder: Path, how: DecodeCheck = "reduced") -> Fault:
    faults = check(read_dataset(folder), _checks(how=how)).faults
    assert len(faults) == 1, [fault.message for fault in faults]
    return faults[0]


def _check_one(folder: Path, name: str) -> CheckedImage:
    (image,) = [image for image in check(read_dataset(folder), _checks()).images if name in image.labelled.source_id]
    return image


def _replace(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
