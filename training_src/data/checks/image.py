# SPDX-License-Identifier: Apache-2.0
"""What must be true of one image and its boxes. Runs in worker processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import xxhash

from containers.contract.orientation import UPRIGHT
from training_src.data.checks.boxes import check_boxes
from training_src.data.checks.fingerprint import Fingerprint, fingerprint
from training_src.data.checks.orientation import (
    DrawnOn,
    drawn_on,
    encode_upright,
    undecided,
    upright_annotation,
    upright_facts,
)
from training_src.data.checks.policy import DataPolicy
from training_src.data.dataset import Encoded, Fault, LabelledImage
from training_src.data.images import BrokenImageError, DecodeCheck, ImageFacts, decode_grey, other_format, read_header
from training_src.data.other_formats import is_other, reencoded

_FORMATS = {"jpg": "jpeg", "jpeg": "jpeg", "png": "png"}


@dataclass(frozen=True)
class CheckedImage:
    """An image that is whole, with boxes that lie in it.

    Attributes:
        labelled: As it was read, its boxes repaired and its size the image's own.
        format: "jpeg" or "png".
        content: Hash of the encoded bytes (XXH3, 128 bits, hexadecimal): what makes two images the same.
        clipped, dropped: Numbers of repaired boxes.
        sequence: What must not be torn apart, empty for none.
        likely: Whether `sequence` is only what the file's name suggests.
        fingerprint: None where the image was not decoded.
    """

    labelled: LabelledImage
    format: str
    content: str
    clipped: int
    dropped: int
    sequence: str
    likely: bool
    fingerprint: Fingerprint | None

    @property
    def group(self) -> str:
        """What must stay in one split: the sequence, else all images with the same bytes."""
        return self.sequence or self.content

    @property
    def columns(self) -> Mapping[str, str]:
        """What a test set can be sliced by: the image's attributes, and its sequence where that is more than likely."""
        sequence = {} if self.likely or not self.sequence else {"sequence": self.sequence}
        return {**sequence, **self.labelled.attributes}


class ImageOutcome(NamedTuple):
    """What came of an image.

    Attributes:
        image: None where it cannot be used.
        faults: What is wrong or was repaired, with the policy's severities.
        encoded: The bytes, if the image can be used.
        shown: The image as it is shown beside its faults, upright, its boxes not repaired; None: as it was given.
    """

    image: CheckedImage | None
    faults: Sequence[Fault]
    encoded: bytes = b""
    shown: LabelledImage | None = None


@dataclass(frozen=True)
class ImageChecks:
    """How images are checked.

    Attributes:
        policy: See there.
        decode_check: How far images are decoded.
        rewritten: A folder for images that a fix encodes anew.
    """

    policy: DataPolicy
    decode_check: DecodeCheck
    rewritten: Path

    def examine(self, labelled: LabelledImage) -> ImageOutcome:
        """Read, decode and check one image."""
        faults: list[Fault] = []
        try:
            encoded = labelled.encoded.load()
            try:
                facts = read_header(encoded)
            except BrokenImageError:
                if not is_other(encoded):
                    raise
                if self.policy.handling("other_format") != "fix":
                    return ImageOutcome(None, self._other_format(labelled, encoded))
                encoded = reencoded(encoded, self.policy.threshold("bomb", "megapixels") * 1e6)
                facts = read_header(encoded)
                labelled = self._rewritten(labelled, encoded, facts)
                faults.append(_reencoded(labelled, facts))
            if fault := self._bomb(labelled, facts):
                return ImageOutcome(None, [fault])
            grey = decode_grey(encoded, facts, self.decode_check)
        except (BrokenImageError, OSError) as error:
            return ImageOutcome(None, self._broken(labelled, error))
        self._look_at_file(labelled, facts, faults)
        shown = labelled
        if facts.orientation != UPRIGHT:
            drawn, why = drawn_on(labelled, facts, self.policy.orientation_boxes)
            shown = upright_annotation(labelled, facts, drawn or "upright")
            if self.policy.handling("orientation") != "fix":
                faults += self._oriented(labelled, facts)
            elif drawn is None:
                # Where its boxes are is not known, so nothing more can be said of them.
                faults += self.policy.judged([undecided(labelled, facts, why)])
                return ImageOutcome(None, faults, shown=shown)
            else:
                try:
                    encoded = encode_upright(encoded, facts)
                except BrokenImageError as error:
                    return ImageOutcome(None, self._broken(labelled, error))
                faults.append(_turned(labelled, drawn))
                facts = upright_facts(facts)
                labelled = shown = self._rewritten(shown, encoded, facts)
        self._look_at_size(labelled, facts, faults)
        found = check_boxes(labelled, facts.width, facts.height, self.policy, faults.append)
        sequence, likely = (labelled.group, False) if labelled.group else self.policy.sequence_of(labelled.source_id)
        return ImageOutcome(
            CheckedImage(
                replace(labelled, boxes=found.boxes, width=facts.width, height=facts.height),
                facts.format,
                xxhash.xxh3_128_hexdigest(encoded),
                found.clipped,
                found.dropped,
                sequence,
                likely and bool(sequence),
                None if grey is None else fingerprint(grey),
            ),
            faults,
            encoded,
            shown,
        )

    def _broken(self, labelled: LabelledImage, error: Exception) -> list[Fault]:
        said = error.strerror or error if isinstance(error, OSError) else error
        what = f"cannot be read ({said})" if isinstance(error, OSError) else str(said)
        if self.policy.handling("image") == "fix":
            message = f"{labelled.image} {what}; it was left out."
            return [Fault(labelled.image, None, "image", message, "notice")]
        message = f"{labelled.image} {what}; export it again, or remove it and its annotation."
        return self.policy.judged([Fault(labelled.image, None, "image", message)])

    def _other_format(self, labelled: LabelledImage, encoded: bytes) -> list[Fault]:
        kind = other_format(encoded)
        what = "has the colour space CMYK" if kind == "CMYK" else f"is {kind}"
        message = (
            f"{labelled.image} {what}, which neither TensorFlow nor the server reads; save it as JPEG or PNG, or let "
            "the policy fix it (--fix)."
        )
        return self.policy.judged([Fault(labelled.image, None, "other_format", message)])

    def _bomb(self, labelled: LabelledImage, facts: ImageFacts) -> Fault | None:
        most = self.policy.threshold("bomb", "megapixels")
        if facts.width * facts.height <= most * 1e6:
            return None
        message = (
            f"{labelled.image} announces {facts.width} x {facts.height} pixels, more than the {most:g} megapixels that "
            "an image may have; it was not decoded. Remove it, or raise bomb.megapixels in the data policy."
        )
        return self.policy.judge(Fault(labelled.image, None, "bomb", message))

    def _look_at_file(self, labelled: LabelledImage, facts: ImageFacts, faults: list[Fault]) -> None:
        stated = _FORMATS.get(labelled.encoded.file.rpartition(".")[2].lower(), facts.format)
        if stated != facts.format:
            message = f"{labelled.image} holds {facts.format.upper()}, not the {stated.upper()} that its name says; "
            faults += self.policy.judged([Fault(labelled.image, None, "format", message + "rename it.")])
        thresholds = self.policy.checks["image_size"].thresholds
        short, long = sorted((facts.width, facts.height))
        if short < thresholds["least"] or long > thresholds["greatest"] or long > thresholds["aspect"] * short:
            message = f"{labelled.image} has the extreme size of {facts.width} x {facts.height} pixels."
            faults += self.policy.judged([Fault(labelled.image, None, "image_size", message, image=labelled.image)])

    def _oriented(self, labelled: LabelledImage, facts: ImageFacts) -> list[Fault]:
        message = (
            f"{labelled.image} has the EXIF orientation {facts.orientation}: viewers turn it; save it upright and "
            "check its boxes, or let the policy fix it."
        )
        return self.policy.judged([Fault(labelled.image, None, "orientation", message, image=labelled.image)])

    def _rewritten(self, labelled: LabelledImage, encoded: bytes, facts: ImageFacts) -> LabelledImage:
        """The image with its new bytes in a file. Its name is its content: whichever worker meets it, the same file."""
        file = self.rewritten / f"{xxhash.xxh3_128_hexdigest(encoded)}.{facts.format}"
        file.write_bytes(encoded)
        return replace(labelled, encoded=Encoded(str(file)))

    def _look_at_size(self, labelled: LabelledImage, facts: ImageFacts, faults: list[Fault]) -> None:
        stated = (labelled.width or facts.width, labelled.height or facts.height)
        if stated == (facts.width, facts.height):
            return
        said = f"{labelled.annotation} says that {labelled.image} is {stated[0]} x {stated[1]} pixels, "
        fits = all(
            box.xmin >= 0 and box.ymin >= 0 and box.xmax <= facts.width and box.ymax <= facts.height
            for box in labelled.boxes
        )
        if fits and self.policy.handling("size") == "fix":
            message = said + f"which was corrected to {facts.width} x {facts.height}."
            faults.append(Fault(labelled.annotation, None, "size", message, "notice", labelled.image))
            return
        message = (
            said
            + f"but it is {facts.width} x {facts.height}; correct the size, and the boxes if the image was resized."
        )
        faults += self.policy.judged([Fault(labelled.annotation, None, "size", message, image=labelled.image)])


def _turned(labelled: LabelledImage, drawn: DrawnOn) -> Fault:
    what = "pixels"
    if labelled.boxes:
        what = "pixels and boxes" if drawn == "stored" else "pixels (its boxes were upright already)"
    message = f"{labelled.image}: {what} turned upright, as EXIF says."
    return Fault(labelled.image, None, "orientation", message, "notice", labelled.image)


def _reencoded(labelled: LabelledImage, facts: ImageFacts) -> Fault:
    message = f"{labelled.image} was encoded anew as {facts.format.upper()}, which detectors read."
    return Fault(labelled.image, None, "other_format", message, "notice", labelled.image)
