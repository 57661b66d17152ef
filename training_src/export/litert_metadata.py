# SPDX-License-Identifier: Apache-2.0
"""What Android's and other clients read in a LiteRT file of its input, its outputs and its labels.

Tables and the places of their fields are those of
https://github.com/tensorflow/tflite-support/blob/master/tensorflow_lite_support/metadata/metadata_schema.fbs
Files that belong to a model are a zip archive behind it: https://ai.google.dev/edge/litert/models/metadata
"""

import io
import zipfile
from collections.abc import Callable, Sequence

import flatbuffers

from training_src.export.litert_converter import MEAN_AND_DEVIATION

LABELS = "labels.txt"
DESCRIPTION = (
    "Finds objects: their boxes, classes and scores. Run it with one thread: with a number of threads between 1 and "
    "that of its classes, TFLite_Detection_PostProcess leaves out the class of that number "
    "(https://github.com/tensorflow/tensorflow/issues/56058)."
)
FILE_IDENTIFIER = b"M001"
# The first version of the schema has all that is used.
PARSER_VERSION = "1.0.0"
# Of the unions: what comes in them.
FEATURES, IMAGE, BOXES = 1, 2, 3
NORMALIZATION = 1
TENSOR_VALUE_LABELS = 3
RGB = 1
BOUNDARIES = 1
# Left, top, right and bottom stand in these places of ymin, xmin, ymax, xmax.
ORDER = (1, 0, 3, 2)

Field = Callable[[int], None]


def metadata(name: str, uint8: bool) -> bytes:
    """The metadata of a detector with the four outputs of `TFLite_Detection_PostProcess`.

    Args:
        name: The model's.
        uint8: Whether it takes a picture's bytes; else they are to be brought to -1..1.
    """
    writer = _Writer()
    graph = writer.table(
        {
            2: writer.offsets([_image(writer, uint8)]),
            3: writer.offsets(_outputs(writer)),
        }
    )
    root = writer.table(
        {
            0: writer.text(name),
            1: writer.text(DESCRIPTION),
            3: writer.offsets([graph]),
            7: writer.text(PARSER_VERSION),
        }
    )
    writer.builder.Finish(root, FILE_IDENTIFIER)
    return bytes(writer.builder.Output())


def with_labels(content: bytes, labels: Sequence[str]) -> bytes:
    """The file with `labels.txt` packed behind it, a class a line in the order of the classes' numbers."""
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        # The time of day is no part of a model.
        archive.writestr(zipfile.ZipInfo(LABELS), label_file(labels))
    return stream.getvalue()


def label_file(labels: Sequence[str]) -> str:
    """A class a line."""
    return "".join(f"{label}\n" for label in labels)


class _Writer:
    """Tables of a flatbuffer, each written before what refers to it."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return int(self.builder.CreateString(value))

    def offsets(self, values: Sequence[int]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependUOffsetTRelative(value)
        return int(self.builder.EndVector())

    def floats(self, *values: float) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependFloat32(value)
        return int(self.builder.EndVector())

    def numbers(self, *values: int) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependUint32(value)
        return int(self.builder.EndVector())

    def table(
        self, offsets: dict[int, int], small: dict[int, int] | None = None, integers: dict[int, int] | None = None
    ) -> int:
        """A table by the places of its fields: offsets of what was written, bytes, and integers of 32 bits."""
        self.builder.StartObject(1 + max([*offsets, *(small or {}), *(integers or {}), -1]))
        for place, value in offsets.items():
            self.builder.PrependUOffsetTRelativeSlot(place, value, 0)
        for place, value in (integers or {}).items():
            self.builder.PrependInt32Slot(place, value, 0)
        for place, value in (small or {}).items():
            self.builder.PrependInt8Slot(place, value, 0)
        return int(self.builder.EndObject())


def _image(writer: _Writer, uint8: bool) -> int:
    normalization = writer.table({0: writer.floats(MEAN_AND_DEVIATION), 1: writer.floats(MEAN_AND_DEVIATION)})
    unit = writer.table({1: normalization}, small={0: NORMALIZATION})
    content = writer.table({1: writer.table({}, small={0: RGB})}, small={0: IMAGE})
    least, greatest = (0.0, 255.0) if uint8 else (-1.0, 1.0)
    return writer.table(
        {
            0: writer.text("image"),
            1: writer.text("The picture in the size of this tensor, red, green and blue."),
            3: content,
            4: writer.offsets([unit]),
            5: writer.table({0: writer.floats(greatest), 1: writer.floats(least)}),
        }
    )


def _outputs(writer: _Writer) -> list[int]:
    """By the names for which Android's task library looks."""
    boxes = writer.table({0: writer.numbers(*ORDER)}, small={1: BOUNDARIES})
    labels = writer.table({0: writer.text(LABELS)}, small={2: TENSOR_VALUE_LABELS})
    return [
        _output(writer, "location", "Boxes: ymin, xmin, ymax, xmax in shares of the picture.", BOXES, boxes),
        _output(writer, "category", "Classes: lines of the labels, from 0.", FEATURES, writer.table({}), labels),
        _output(writer, "score", "Scores of 0 to 1, best first.", FEATURES, writer.table({})),
        _output(writer, "number of detections", "How many boxes count.", FEATURES, None),
    ]


def _output(
    writer: _Writer, name: str, description: str, kind: int, properties: int | None, file: int | None = None
) -> int:
    """One output; all but the last are lists with an entry for each detection."""
    fields = {1: properties if properties is not None else writer.table({})}
    if properties is not None:
        # As the clients' own files have it for all three.
        fields[2] = writer.table({}, integers={0: 2, 1: 2})
    content = writer.table(fields, small={0: kind})
    table = {0: writer.text(name), 1: writer.text(description), 3: content}
    if file is not None:
        table[6] = writer.offsets([file])
    return writer.table(table)
