# SPDX-License-Identifier: Apache-2.0
r"""The data policy: which checks there are, how severe each is, and from which number on it speaks.

A policy file (YAML) changes any of it:

    checks:
      near_leak: error
      outside: {severity: fix, tolerance: 8}
    sequence: '(?P<sequence>.+)_\d+$'
    decode_check: header
    splits: [train, validation, test]
    orientation_boxes: upright
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator

from containers.contract.pictures import MAX_PIXELS
from training_src.data.checks.orientation import DrawnOn
from training_src.data.dataset import Fault, Severity
from training_src.data.formats import yaml_document
from training_src.data.formats.data_folder import DataFolder, exists
from training_src.data.formats.fields import AnnotationError
from training_src.data.images import DecodeCheck
from training_src.errors import ConfigurationError

# "fix" repairs what the check finds and tells it as a notice; "off" does not look.
Handling = Literal["error", "warning", "notice", "fix", "off"]

# In a data set's own folder this file is its policy.
POLICY_FILE = "data_policy.yaml"

# A frame's name: a sequence, then the word frame, then a number: `drive_17/frame_0004`, `cam2-frame-12`.
_FRAME = r"(?:^|/)(?P<sequence>[^/]+?)(?:/|[-_. ])frame[-_ ]?\d+$"
_NO_SEQUENCE = frozenset(("images", "jpegimages", "train", "training", "val", "valid", "validation", "eval", "test"))


@dataclass(frozen=True)
class Check:
    """A check as the policy sees it.

    Attributes:
        finds: For people, what it finds.
        handling: What is done about it.
        thresholds: Numbers by name; empty where there is nothing to choose.
        fix: What `fix` does, for people; empty where nothing safe can be done.
    """

    finds: str
    handling: Handling
    thresholds: Mapping[str, float] = field(default_factory=dict)
    fix: str = ""


CHECKS: Mapping[str, Check] = {
    # Images.
    "image": Check("an image that is missing, truncated or otherwise cannot be decoded", "error", fix="leave it out"),
    "bomb": Check(
        "an image of more megapixels than it may have, by its header", "error", {"megapixels": MAX_PIXELS / 1e6}
    ),
    "other_format": Check(
        "an image in a format that detectors do not read: WebP, BMP, TIFF, GIF, AVIF, or a JPEG in CMYK",
        "error",
        fix="encode its first picture anew (PNG where it was without loss, else JPEG at quality 95)",
    ),
    "format": Check("bytes that are not what the file's name says (PNG in a .jpg)", "warning"),
    "size": Check(
        "a stated size that is not the image's own",
        "error",
        fix="take the image's own size, where all its boxes lie inside it",
    ),
    "orientation": Check(
        "an EXIF orientation other than 1: viewers turn such an image, and boxes were drawn before or after",
        "fix",
        fix="turn pixels and boxes upright, and encode anew (PNG without loss, JPEG at quality 95)",
    ),
    "image_size": Check(
        "an extremely small, large or long image", "warning", {"least": 16, "greatest": 12_000, "aspect": 12}
    ),
    "background": Check("images without a box, as a share of all", "notice", {"share": 0.0}),
    # Boxes.
    "box": Check("a box edge that is no finite number", "error", fix="drop the box"),
    "corners": Check("a box whose corners are swapped", "error", fix="swap them back"),
    "point": Check("a box that is a single point: a click without a drag", "fix", fix="drop the box"),
    "area": Check("a box without area", "error", fix="drop the box"),
    "normalised": Check(
        "boxes from 0 to 1 where pixels are expected", "error", fix="multiply by the image's width and height"
    ),
    "outside": Check(
        "a box that leaves its image by more than some pixels (by less, it is clipped and told)",
        "error",
        {"tolerance": 2, "kept_area": 0.5},
        fix="clip it, or drop it where less than `kept_area` of it is inside",
    ),
    "duplicate": Check("an annotation that stands twice", "error", fix="keep the first"),
    "box_size": Check("a box that is extremely small", "warning", {"least": 2}),
    "box_aspect": Check("a box that is extremely long", "warning", {"aspect": 25}),
    # Classes.
    "class": Check("a class that is not in the label map", "error"),
    "label_offset": Check("label ids that are off by one against the label map", "error"),
    "num_classes": Check("a pipeline.config whose num_classes is below the number of classes", "error"),
    "missing_class": Check("a class without any box in a split", "warning"),
    "few_examples": Check("a class with few boxes in the train split", "warning", {"boxes": 10}),
    # Splits.
    "split": Check("a split that holds nothing to learn or measure on", "error"),
    "leak": Check("the same image in two splits", "error", fix="keep it in test, else in validation, only"),
    "near_leak": Check("almost the same image in two splits (by differing bits of its dHash)", "warning", {"bits": 2}),
    "repeated_image": Check("the same image more than once in a split", "notice"),
    "sequence": Check("one sequence, by its name in the data set or the policy's pattern, in two splits", "error"),
    "likely_sequence": Check("one sequence, as far as file names tell (`drive_frame_0012`), in two splits", "warning"),
    # What the readers found.
    "empty": Check("an annotation file, list or data set that holds nothing", "error"),
    "annotation": Check("an annotation that cannot be read", "error"),
    "record": Check("a TFRecord that cannot be read", "error"),
    "layout": Check("what a reader decided or left out, such as files of a second layout", "notice"),
    "unlisted": Check("images that nothing lists, or annotations that belong to no image; they are left out", "notice"),
    "unlabelled": Check("an image of a labelling job that nobody has labelled; it is left out", "warning"),
    "missing_image": Check("an annotation whose image is not there", "error"),
    "missing_shard": Check("a shard that the names of others announce, but is not there", "error"),
    "path": Check("a path that leaves the data set's folder", "error"),
}


@dataclass(frozen=True)
class DataPolicy:
    """What the checks go by.

    Attributes:
        checks: By name.
        sequence: Pattern of an image's name, without its suffix, whose group `sequence` names the sequence.
        decode_check: How far images are decoded.
        splits: The splits that the data set brings, where an instance sees only a part of it; None: look.
        orientation_boxes: What boxes were drawn on where EXIF turns an image; None: the stated size tells it.
        test_needed: Whether something is kept to test on. If not, a validation split that the data set brings
            validates, and all that it brings to train on trains.
    """

    checks: Mapping[str, Check] = field(default_factory=lambda: CHECKS)
    sequence: str | None = None
    decode_check: DecodeCheck = "reduced"
    splits: frozenset[str] | None = None
    orientation_boxes: DrawnOn | None = None
    test_needed: bool = True

    def handling(self, check: str) -> Handling:
        """What is done about a check's findings; a check that a reader made up is an error."""
        return self.checks[check].handling if check in self.checks else "error"

    def threshold(self, check: str, name: str) -> float:
        """A check's number."""
        return self.checks[check].thresholds[name]

    def judge(self, fault: Fault) -> Fault | None:
        """A fault with the policy's severity; None where the check is off."""
        handling = self.handling(fault.check)
        if handling == "off":
            return None
        severity: Severity = "error" if handling == "fix" else handling
        return fault if fault.severity == severity else replace(fault, severity=severity)

    def judged(self, faults: Iterable[Fault]) -> list[Fault]:
        """Faults with the policy's severities, without those whose check is off."""
        return [judged for fault in faults if (judged := self.judge(fault))]

    def with_fixes(self) -> DataPolicy:
        """The same, but what is wrong and can be repaired safely is repaired."""
        fixed = {
            name: replace(check, handling="fix") if check.fix and check.handling in ("error", "warning") else check
            for name, check in self.checks.items()
        }
        return replace(self, checks=fixed)

    def sequence_of(self, image: str) -> tuple[str, bool]:
        """The sequence that an image's name tells, empty for none; and whether that is only likely."""
        stem = image.rsplit(".", 1)[0]
        if self.sequence is not None:
            found = re.search(self.sequence, stem)
            named = found["sequence"] if found else ""
            return named or "", False
        if "frame" not in stem:
            return "", True
        found = re.search(_FRAME, stem)
        if not found or found["sequence"].lower() in _NO_SEQUENCE:
            return "", True
        # The same drive in the folders of two splits is one drive.
        folders = [part for part in stem[: found.start("sequence")].split("/") if part.lower() not in _NO_SEQUENCE]
        return "/".join([*filter(None, folders), found["sequence"]]), True


def read_policy_of(folder: Path, file: Path | None = None) -> DataPolicy:
    """The policy of a data set: the file that is named, else the folder's own, else the defaults.

    Raises:
        ConfigurationError: See `read_policy`.
    """
    if file is not None:
        return read_policy(file)
    own = folder / POLICY_FILE
    if not exists(str(own)):
        return DataPolicy()
    try:
        return _parse(DataFolder(folder).text(own, yaml_document.LARGEST), own.name)
    except AnnotationError as error:
        raise ConfigurationError(f"{own.name} {error}.") from None


def read_policy(file: Path) -> DataPolicy:
    """Read a policy file; what it does not name stays as it is.

    Raises:
        ConfigurationError: It cannot be read, names something twice or what there is not; the message says what there
            is.
    """
    try:
        return _parse(file.read_text(encoding="utf-8"), file.name)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file.name} cannot be read: {error}.") from None
    except AnnotationError as error:
        raise ConfigurationError(f"{file.name} {error}.") from None


def _parse(text: str, name: str) -> DataPolicy:
    content = yaml_document.parse(text, may_be_empty=True)
    return _read({key: value for key, value in content.items() if value != ""}, name)


def policy_to_json(policy: DataPolicy) -> str:
    """A policy for `policy_from_json`, with every severity and threshold."""
    checks = {name: {"severity": check.handling, **check.thresholds} for name, check in policy.checks.items()}
    splits = None if policy.splits is None else sorted(policy.splits)
    content = {
        "checks": checks,
        "sequence": policy.sequence,
        "decode_check": policy.decode_check,
        "splits": splits,
        "orientation_boxes": policy.orientation_boxes,
    }
    return json.dumps(content)


def policy_from_json(text: str) -> DataPolicy:
    """What `policy_to_json` was given."""
    return _read(json.loads(text), "policy")


def _read(content: Mapping[str, Any], file: str) -> DataPolicy:
    given = _validated(_PolicyFile, content, file)
    checks = {**CHECKS, **{name: _changed(file, name, value) for name, value in given.checks.items()}}
    return DataPolicy(checks, given.sequence, given.decode_check, given.splits, given.orientation_boxes)


def _changed(file: str, name: str, value: Any) -> Check:
    """A check as the file wants it: `severity`, or a mapping that may name thresholds too."""
    if name not in CHECKS:
        raise ConfigurationError(f'{file}: there is no check "{name}"; there are {", ".join(CHECKS)}.')
    check = CHECKS[name]
    fields: dict[str, Any] = {"severity": (Handling if check.fix else _Unfixable, check.handling)}
    fields |= {key: (_Threshold, number) for key, number in check.thresholds.items()}
    model = create_model(name, __base__=_Section, **fields)
    settings = value if isinstance(value, dict) else {"severity": value}
    found = _validated(model, settings, f"{file}: {name}").model_dump()
    return replace(check, handling=found.pop("severity"), thresholds=found)


class _Section(BaseModel):
    """A mapping of the file: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class _PolicyFile(_Section):
    """The file, but for what stands below each check."""

    checks: dict[str, Any] = {}
    sequence: str | None = None
    decode_check: DecodeCheck = "reduced"
    splits: frozenset[Literal["eval", "test", "train", "validation"]] | None = None
    orientation_boxes: DrawnOn | None = None

    @field_validator("sequence")
    @classmethod
    def _names_a_sequence(cls, pattern: str | None) -> str | None:
        try:
            if pattern is None or "sequence" in re.compile(pattern).groupindex:
                return pattern
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        raise ValueError("needs a group of that name, such as '(?P<sequence>.+)_\\d+$'")


_Unfixable = Literal["error", "warning", "notice", "off"]
_Threshold = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Model = TypeVar("_Model", bound=BaseModel)


def _validated(model: type[_Model], content: Any, place: str) -> _Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
    name = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        raise ConfigurationError(f'{place}: "{name}" is unknown; there are {", ".join(model.model_fields)}.')
    if fault["type"] == "value_error":
        raise ConfigurationError(f"{place}: {name} {fault['ctx']['error']}.")
    wanted = fault["msg"].replace("Input", "it")
    raise ConfigurationError(f'{place}: {name} is "{fault["input"]}"; {wanted}.')
