# SPDX-License-Identifier: Apache-2.0
"""Which picture boxes were drawn on where EXIF turns it, and image and boxes turned upright.

Labelling tools show a picture upright, and most write boxes and size of what they showed: LabelImg
(https://github.com/HumanSignal/labelImg/pull/650), CVAT (https://github.com/cvat-ai/cvat/pull/4529), Roboflow, which
turns the pixels too (https://blog.roboflow.com/exif-auto-orientation/). Older ones and VoTT
(https://github.com/microsoft/VoTT/issues/840) write those of the stored pixels. The stated size tells which, in most
exports: Label Studio's COCO states the stored size of upright boxes
(https://github.com/HumanSignal/label-studio/issues/6608), so boxes that do not fit the size decide nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
import simplejpeg

from containers.contract.orientation import turn_boxes, turn_pixels, upright_size
from training_src.data.dataset import Box, Fault, LabelledImage
from training_src.data.images import ImageFacts, decode_jpeg, decode_png

DrawnOn = Literal["stored", "upright"]
"""The pixels as they are stored, or the picture as EXIF turns it."""

_JPEG_QUALITY = 95
# Edges are rounded, and tools that clip late write a little more than the size.
_TOLERANCE = 2.0

Pixels = np.ndarray[Any, np.dtype[Any]]


def drawn_on(labelled: LabelledImage, facts: ImageFacts, told: DrawnOn | None = None) -> tuple[DrawnOn | None, str]:
    """Tell what boxes were drawn on, by the size that their annotation states.

    Args:
        labelled: The image and its boxes.
        facts: What its header says.
        told: The data policy's `orientation_boxes`, which overrules what the annotation states.

    Returns:
        None where nothing tells it; and then why, else the empty text.
    """
    if told is not None:
        return told, ""
    stored, upright = (facts.width, facts.height), _upright(facts)
    stated = (labelled.width, labelled.height)
    if not labelled.boxes:
        return "upright", ""
    if labelled.written_as == "shares":
        return None, "its boxes are shares of the image's sides, whichever those are"
    if labelled.written_as == "stored shares":
        if stated == upright != stored:
            return None, "its record states the upright size, and TensorFlow decodes the stored pixels"
        return "stored", ""
    if stated not in (stored, upright):
        size = f"the size {stated[0]} x {stated[1]}, which is not the image's" if all(stated) else "no size"
        return None, f"{labelled.annotation} states {size}"
    if stored == upright:
        return None, f"upright it has the same size, {stored[0]} x {stored[1]}"
    if not _fit(labelled.boxes, stated) and _fit(labelled.boxes, stated[::-1]):
        return None, f"{labelled.annotation} states {stated[0]} x {stated[1]} pixels, and its boxes do not fit these"
    return ("upright" if stated == upright else "stored"), ""


def undecided(labelled: LabelledImage, facts: ImageFacts, why: str) -> Fault:
    """The fault of an image of which `drawn_on` gives None, with both ways out."""
    message = (
        f"{labelled.image} has the EXIF orientation {facts.orientation}, and nothing tells whether its boxes were "
        f"drawn on the picture as viewers turn it or on the stored pixels: {why}. `mapgate data check --report FILE` "
        "shows them as if drawn on the turned picture; write `orientation_boxes: upright` or "
        "`orientation_boxes: stored` into data_policy.yaml."
    )
    return Fault(labelled.image, None, "orientation", message, image=labelled.image)


def upright_annotation(labelled: LabelledImage, facts: ImageFacts, drawn: DrawnOn) -> LabelledImage:
    """An image's boxes and size, upright; its bytes are what they were."""
    stored, upright = (facts.width, facts.height), _upright(facts)
    stated, boxes = (labelled.width, labelled.height), labelled.boxes
    meant = stored if drawn == "stored" else upright
    edges = np.array([(box.ymin, box.xmin, box.ymax, box.xmax) for box in boxes], np.float64).reshape(-1, 4)
    if labelled.written_as != "pixels" and stated != meant:  # shares became pixels by that size
        edges *= np.array([meant[1] / stated[1], meant[0] / stated[0]] * 2)
    if drawn == "stored":
        width, height = (1, 1) if are_shares(boxes) else stored
        edges = turn_boxes(edges, facts.orientation, height, width)
    turned = [
        replace(box, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax)
        for box, (ymin, xmin, ymax, xmax) in zip(boxes, edges.tolist(), strict=True)
    ]
    if stated in (stored, upright):
        stated = upright
    return replace(labelled, boxes=tuple(turned), width=stated[0], height=stated[1])


def encode_upright(encoded: bytes, facts: ImageFacts) -> bytes:
    """The image turned upright and encoded anew: a PNG without loss, a JPEG at quality 95 without subsampling.

    Raises:
        BrokenImageError: It is damaged.
    """
    upright = turn_pixels(_decoded(encoded, facts), facts.orientation)
    if facts.format == "jpeg":
        return bytes(simplejpeg.encode_jpeg(upright, quality=_JPEG_QUALITY, colorspace="RGB", colorsubsampling="444"))
    return bytes(cv2.imencode(".png", upright)[1])


def upright_facts(facts: ImageFacts) -> ImageFacts:
    """What the header of the upright image says."""
    return ImageFacts(facts.format, *_upright(facts))


def are_shares(boxes: Sequence[Box]) -> bool:
    """Whether all edges go from 0 to 1, where pixels are expected."""
    edges = [edge for box in boxes for edge in (box.xmin, box.ymin, box.xmax, box.ymax)]
    return all(0 <= edge <= 1 for edge in edges) and any(edge not in (0, 1) for edge in edges)


def _upright(facts: ImageFacts) -> tuple[int, int]:
    """Width and height."""
    height, width = upright_size(facts.height, facts.width, facts.orientation)
    return width, height


def _fit(boxes: Sequence[Box], size: tuple[int, int]) -> bool:
    right, bottom = size[0] + _TOLERANCE, size[1] + _TOLERANCE
    return all(max(box.xmin, box.xmax) <= right and max(box.ymin, box.ymax) <= bottom for box in boxes)


def _decoded(encoded: bytes, facts: ImageFacts) -> Pixels:
    if facts.format == "jpeg":
        return decode_jpeg(encoded, "RGB")
    return decode_png(encoded, cv2.IMREAD_UNCHANGED)  # it keeps depth and alpha, and turns nothing
