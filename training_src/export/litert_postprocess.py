# SPDX-License-Identifier: Apache-2.0
"""The operation with which LiteRT's clients expect an SSD to end: `TFLite_Detection_PostProcess`.

It decodes boxes and suppresses those that overlap. Its options, the order of its inputs and outputs:
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/kernels/detection_postprocess.cc
The converter can make it from a composite function, but passes no `detections_per_class` and gives outputs in an order
of its own, so it is put behind the finished file.
"""

from dataclasses import asdict, dataclass, replace

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from training_src.export.litert_converter import ENCODINGS, IMAGE, SCORES
from training_src.export.litert_quantizing import SIGNATURE
from training_src.models.config.ssd import Ssd

OPERATION = "TFLite_Detection_PostProcess"
FILE_IDENTIFIER = b"TFL3"
# Of a buffer's bytes in the file: `force_align` of the schema.
ALIGNMENT = 16


@dataclass(frozen=True)
class PostProcess:
    """The operation's options, by its names.

    Attributes:
        max_detections: How many boxes an image has at most, over all classes.
        detections_per_class: How many of one class.
        use_regular_nms: Whether each class is suppressed by itself; else a box's best class counts only.
        nms_score_threshold: Boxes below are left out.
        nms_iou_threshold: Boxes that overlap a better one more than this are.
        num_classes: Without the background.
        y_scale: By what the coder multiplied offsets, as the next three.
    """

    max_detections: int
    detections_per_class: int
    use_regular_nms: bool
    nms_score_threshold: float
    nms_iou_threshold: float
    num_classes: int
    y_scale: float
    x_scale: float
    h_scale: float
    w_scale: float
    max_classes_per_detection: int = 1

    @classmethod
    def of(cls, config: Ssd, num_classes: int, max_detections: int | None = None) -> "PostProcess":
        """What a config asks for; `max_detections` in place of its `max_total_detections`."""
        suppression, coder = config.post_processing.batch_non_max_suppression, config.box_coder.faster_rcnn_box_coder
        return cls(
            max_detections=max_detections or suppression.max_total_detections,
            detections_per_class=suppression.max_detections_per_class,
            use_regular_nms=not suppression.use_class_agnostic_nms,
            nms_score_threshold=max(suppression.score_threshold, 0.0),  # no score is negative
            nms_iou_threshold=suppression.iou_threshold,
            num_classes=num_classes,
            y_scale=coder.y_scale,
            x_scale=coder.x_scale,
            h_scale=coder.height_scale,
            w_scale=coder.width_scale,
        )

    def in_steps_of(self, step: float) -> "PostProcess":
        """The same for scores that are rounded: a threshold that is meant to leave none out leaves out no 0.

        Android's task library takes no answer with fewer boxes than the file's outputs have room for, which so few
        scores above 0 would give: `SanityCheckOutputTensors` in
        https://github.com/tensorflow/tflite-support/blob/master/tensorflow_lite_support/cc/task/vision/object_detector.cc
        """
        return replace(self, nms_score_threshold=0.0) if self.nms_score_threshold < step / 2 else self


def with_postprocess(content: bytes, options: PostProcess, anchors: NDArray[np.float32], metadata: bytes) -> bytes:
    """The same file with the operation at its end.

    Its outputs are the operation's, in its order: boxes `(1, n, 4)`, ymin, xmin, ymax, xmax in shares of the image;
    classes `(1, n)` from 0; scores `(1, n)`, best first; how many of them count `(1,)`. All are float32.

    Args:
        content: With outputs `box_encodings` and `scores` in float32.
        options: Of the operation.
        anchors: `(anchors, 4)`: y and x of the centre, height, width.
        metadata: Of `litert_metadata.metadata`.
    """
    model = _unpacked(content)
    (graph,) = model.subgraphs
    (signature,) = model.signatureDefs
    found = {each.name: each.tensorIndex for each in signature.outputs}
    constant = _tensor(model, "anchors", anchors.shape, anchors.astype("<f4").tobytes())
    count = options.max_detections * options.max_classes_per_detection
    shapes = {"boxes": (1, count, 4), "classes": (1, count), "scores": (1, count), "count": (1,)}
    outputs = [_tensor(model, f"{OPERATION}:{name}", shape) for name, shape in shapes.items()]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = OPERATION.encode(), 1
    model.operatorCodes.append(code)
    operation = schema.OperatorT()
    operation.opcodeIndex = len(model.operatorCodes) - 1
    operation.inputs = [found[ENCODINGS.encode()], found[SCORES.encode()], constant]
    operation.outputs = outputs
    operation.customOptions = list(_flexible(options))
    operation.customOptionsFormat = schema.CustomOptionsFormat.FLEXBUFFERS
    graph.operators.append(operation)
    graph.outputs = outputs
    model.signatureDefs = [_signature(graph.inputs[0], outputs)]
    _add_metadata(model, metadata)
    return _packed(model)


def _tensor(model: schema.ModelT, name: str, shape: tuple[int, ...], data: bytes = b"") -> int:
    """A float32 tensor more; its index."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), schema.TensorType.FLOAT32
    tensor.buffer = _buffer(model, data) if data else 0  # the first is empty by the schema
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _buffer(model: schema.ModelT, data: bytes) -> int:
    model.buffers.append(_AlignedBuffer(data))
    return len(model.buffers) - 1


def _flexible(options: PostProcess) -> bytes:
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in asdict(options).items():
            {bool: builder.Bool, int: builder.Int, float: builder.Float}[type(value)](name, value)
    return bytes(builder.Finish())


def _signature(image: int, outputs: list[int]) -> schema.SignatureDefT:
    """Named as the API's files have them: who reads outputs by name looks for count, scores, classes, boxes."""

    def named(name: str, index: int) -> schema.TensorMapT:
        place = schema.TensorMapT()
        place.name, place.tensorIndex = name.encode(), index
        return place

    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
    signature.inputs = [named(IMAGE, image)]
    signature.outputs = [named(f"output_{place}", index) for place, index in enumerate(reversed(outputs))]
    return signature


def _add_metadata(model: schema.ModelT, metadata: bytes) -> None:
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"TFLITE_METADATA", _buffer(model, metadata)
    model.metadata = [*(model.metadata or []), entry]


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """Bytes of a tensor, within the flatbuffer and where the schema wants them.

    The quantizer puts them behind it, where runtimes of before 2023 do not look; the schema's own classes put them at
    any address.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.content = data

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
        """As the schema's own class is called."""
        data = None
        if self.content:
            builder.StartVector(1, len(self.content), ALIGNMENT)
            builder.head = builder.Head() - len(self.content)
            builder.Bytes[builder.Head() : builder.Head() + len(self.content)] = self.content
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


def _unpacked(content: bytes) -> schema.ModelT:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    model.buffers = [_AlignedBuffer(_bytes(content, buffer)) for buffer in model.buffers]
    return model


def _bytes(content: bytes, buffer: schema.BufferT) -> bytes:
    if buffer.offset > 1:  # up to 1 stands for none
        return content[buffer.offset : buffer.offset + buffer.size]
    return b"" if buffer.data is None else bytes(bytearray(buffer.data))


def _packed(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())
