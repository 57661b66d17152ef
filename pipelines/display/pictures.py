# SPDX-License-Identifier: Apache-2.0
"""Detections drawn on their images: one picture, a contact sheet, an animation."""

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.client.invocation import Detection
from pipelines.errors import BadInputError
from pipelines.whole_files import written_whole

Picture = npt.NDArray[np.uint8]
"""Shape (height, width, 3), blue, green, red, as OpenCV has it."""

# Okabe and Ito's palette, which colour-blind people can tell apart; blue, green, red.
PALETTE = ((0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213), (167, 121, 204))
FONT = cv2.FONT_HERSHEY_DUPLEX
GAP = 6


def decode(image: bytes, name: str) -> Picture:
    """The picture of an encoded image, upright: OpenCV turns it as EXIF says, and so does the server that looks at it.

    Raises:
        BadInputError: The bytes are no image that OpenCV reads.
    """
    picture = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise BadInputError(f"{name}: not an image that can be read; send a JPEG or PNG file")
    return np.asarray(picture, np.uint8)


def draw(picture: Picture, detections: Sequence[Detection], labels: Sequence[str], *, shortest: int = 320) -> Picture:
    """A copy of the picture with a labelled box for each detection, scaled up until its shorter side is `shortest`."""
    height, width = picture.shape[:2]
    scale = max(1.0, shortest / min(height, width))
    canvas = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    height, width = canvas.shape[:2]
    for detection in sorted(detections, key=lambda one: one.score):
        xmin, ymin, xmax, ymax = (
            round(fraction * side) for fraction, side in zip(detection.box, (width, height) * 2, strict=True)
        )
        colour = PALETTE[labels.index(detection.label) % len(PALETTE)] if detection.label in labels else PALETTE[0]
        cv2.rectangle(canvas, (xmin, ymin), (xmax, ymax), colour, 2, cv2.LINE_AA)
        _caption(canvas, f"{detection.label} {detection.score:.2f}", xmin, ymin, colour)
    return np.asarray(canvas, np.uint8)


def contact_sheet(pictures: Sequence[Picture], *, columns: int = 4) -> Picture:
    """The pictures in rows, each fitted into a cell of the largest picture's size."""
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 24, np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        fitted = fit(picture, height, width)
        sheet[top : top + height, left : left + width] = fitted
    return sheet


def fit(picture: Picture, height: int, width: int) -> Picture:
    """The picture scaled to fit, its shape kept, on a dark ground of the given size."""
    scale = min(height / picture.shape[0], width / picture.shape[1])
    inner = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:height, :width]
    ground = np.full((height, width, 3), 24, np.uint8)
    top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    ground[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return ground


def write(path: Path, picture: Picture) -> None:
    """Write a PNG or JPEG file.

    Raises:
        BadInputError: Its name ends otherwise, or there is no such folder.
        OSError: It cannot be written, for instance because the disk is full.
    """
    if not path.parent.is_dir():
        raise BadInputError(f"{path}: there is no folder {path.parent}; make it, or name another")
    try:
        # In memory: of a file OpenCV would say only that it was not written, and not why.
        encoded, body = cv2.imencode(path.suffix, picture)
    except cv2.error:  # it has no writer for such a name
        encoded = False
    if not encoded:
        raise BadInputError(f"{path}: OpenCV cannot write this kind of file; name it .png or .jpg")
    with written_whole(path) as beside:
        beside.write_bytes(body.tobytes())


def write_animation(path: Path, pictures: Sequence[Picture], *, milliseconds: int = 900) -> None:
    """Write a GIF that shows the pictures one after another."""
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    animation = cv2.Animation()
    animation.frames = [fit(picture, height, width) for picture in pictures]
    animation.durations = [milliseconds] * len(pictures)
    with written_whole(path) as beside:
        cv2.imwriteanimation(str(beside), animation)


def _caption(canvas: cv2.typing.MatLike, text: str, left: int, bottom: int, colour: tuple[int, int, int]) -> None:
    (width, height), descent = cv2.getTextSize(text, FONT, 0.4, 1)
    left = max(0, min(left, canvas.shape[1] - width - 4))
    bottom = max(height + descent + 2, bottom)
    cv2.rectangle(canvas, (left, bottom - height - descent - 2), (left + width + 4, bottom), colour, cv2.FILLED)
    luminance = 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2]
    ink = (0, 0, 0) if luminance > 110 else (255, 255, 255)
    cv2.putText(canvas, text, (left + 2, bottom - descent), FONT, 0.4, ink, 1, cv2.LINE_AA)
