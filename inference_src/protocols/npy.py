# SPDX-License-Identifier: Apache-2.0
"""NumPy's file format, which SageMaker's SDK sends and reads by its NumpySerializer and NumpyDeserializer.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
Nothing of it is unpickled, and no array is made but over the bytes that came.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from inference_src.detections import Detections
from inference_src.errors import RequestError
from inference_src.images import Image

MAGIC = npy_format.MAGIC_PREFIX
COLUMNS = 6
"""Of an answer: ymin, xmin, ymax, xmax as fractions of the picture, the score, the class's id."""

_MAX_HEADER = 10_000  # NumPy's own limit
_PIECE = 2**18
_FORM = "an image is whole numbers 0 to 255 of shape [height, width, 3], a batch [images, height, width, 3]"


def read_npy(body: bytes, max_images: int) -> tuple[list[Image], bool]:
    """Read an array of one image or of several of one size.

    Args:
        body: An .npy file.
        max_images: Most images.

    Returns:
        The images, and whether the array is one image and no batch.

    Raises:
        RequestError: 400 damaged, or no images; 413 too many.
    """
    shape, fortran_order, dtype, begin = _header(body)
    if dtype.hasobject or dtype.kind not in "iu":
        raise RequestError(400, f"the .npy array is of {str(dtype)[:50]}: {_FORM}")
    if len(shape) not in (3, 4) or shape[-1] != 3 or not all(shape):
        raise RequestError(400, f"the .npy array has shape {str(list(shape))[:50]}: {_FORM}")
    if len(shape) == 4 and shape[0] > max_images:
        raise RequestError(413, f"the .npy array has {shape[0]} images, more than {max_images}: send several requests")
    count = 1
    for side in shape:
        count *= side
    if count * dtype.itemsize != len(body) - begin:
        there = f"{len(body) - begin} bytes of {count * dtype.itemsize}"
        raise RequestError(400, f"the .npy array is damaged ({there} are there): send it whole")
    flat = np.frombuffer(body, dtype, count, begin)
    array = _as_bytes(flat).reshape(shape, order="F" if fortran_order else "C")
    images = [array] if len(shape) == 3 else list(array)
    return [np.ascontiguousarray(image) for image in images], len(shape) == 3


def write_npy(found: Sequence[Detections], alone: bool) -> bytes:
    """Write detections as float32: [detections, 6] of one image, or [images, most detections, 6], filled up with 0."""
    tables = [
        np.column_stack([each.boxes, each.scores, each.classes])[: each.count].astype(np.float32) for each in found
    ]
    if alone:
        array = tables[0]
    else:
        array = np.zeros((len(tables), max(map(len, tables)), COLUMNS), np.float32)
        for rows, table in zip(array, tables, strict=True):
            rows[: len(table)] = table
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _header(body: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether columns come first, type, and where the data begins."""
    file = io.BytesIO(body[: len(MAGIC) + 2 + 4 + _MAX_HEADER])
    try:
        version = npy_format.read_magic(file)
        read = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}[version]
        shape, fortran_order, dtype = read(file, max_header_size=_MAX_HEADER)
    except Exception as error:  # whatever its literal, which NumPy evaluates as one, makes of a hostile header
        raise RequestError(400, "the .npy header is damaged: write the array with numpy.save") from error
    if not all(type(side) is int and 0 <= side <= len(body) for side in shape):
        raise RequestError(400, "the .npy header is damaged: its shape is none of what was sent")
    return shape, fortran_order, dtype, file.tell()


def _as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """The same numbers in a byte each, looked at in pieces: other threads wait meanwhile."""
    if values.dtype == np.uint8:
        return values
    narrow = np.empty(len(values), np.uint8)
    for begin in range(0, len(values), _PIECE):
        piece = values[begin : begin + _PIECE]
        if piece.min() < 0 or piece.max() > 255:
            raise RequestError(400, "the .npy array holds something else than whole numbers from 0 to 255")
        narrow[begin : begin + _PIECE] = piece
    return narrow
