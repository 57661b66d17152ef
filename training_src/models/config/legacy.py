# SPDX-License-Identifier: Apache-2.0
"""Files written for TensorFlow 1: what they mean here, and what of any file is taken in another way than it says."""

from dataclasses import dataclass

from training_src.text_format import Identifier, Message, Value

# Extractors of TensorFlow 1 with the Keras twin that takes their place.
TWINS = {
    "ssd_mobilenet_v1": "ssd_mobilenet_v1_keras",
    "ssd_mobilenet_v1_fpn": "ssd_mobilenet_v1_fpn_keras",
    "ssd_mobilenet_v2": "ssd_mobilenet_v2_keras",
    "ssd_mobilenet_v2_fpn": "ssd_mobilenet_v2_fpn_keras",
    "ssd_resnet50_v1_fpn": "ssd_resnet50_v1_fpn_keras",
    "ssd_resnet101_v1_fpn": "ssd_resnet101_v1_fpn_keras",
    "ssd_resnet152_v1_fpn": "ssd_resnet152_v1_fpn_keras",
    "faster_rcnn_resnet50": "faster_rcnn_resnet50_keras",
    "faster_rcnn_resnet101": "faster_rcnn_resnet101_keras",
    "faster_rcnn_resnet152": "faster_rcnn_resnet152_keras",
    "faster_rcnn_inception_resnet_v2": "faster_rcnn_inception_resnet_v2_keras",
}


@dataclass(frozen=True)
class Mapped:
    """One thing that is taken in another way than the file says.

    Attributes:
        field: Its path.
        given: What the file says.
        taken: What is done.
    """

    field: str
    given: str
    taken: str


def mapping_table(mapped: tuple[Mapped, ...]) -> str:
    """A line for each thing that was mapped, in columns; empty where nothing was."""
    if not mapped:
        return ""
    rows = [("field", "in the file", "taken as"), *((each.field, each.given, each.taken) for each in mapped)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{field:<{widths[0]}}  {given:<{widths[1]}}  {taken}" for field, given, taken in rows)


def modernise(message: Message) -> tuple[Mapped, ...]:
    """Replace what only TensorFlow 1 knew.

    Args:
        message: A whole `pipeline.config`; changed in place where a field gets another value.

    Returns:
        What was mapped, and what is computed or left out in another way than people who know the API may expect.
    """
    mapped: list[Mapped] = []
    for meta in _children(message, "model"):
        for name in meta:
            for family in _children(meta, name):
                mapped += _model(family, f"model.{name}")
    for train_config in _children(message, "train_config"):
        mapped += _training(train_config)
        mapped += _schedules(train_config)
    for metric in [
        value for evaluation in _children(message, "eval_config") for value in evaluation.get("metrics_set", [])
    ]:
        if metric != "coco_detection_metrics":
            mapped.append(
                Mapped("eval_config.metrics_set", str(metric), "COCO's box metrics, of which AP50 is Pascal VOC's")
            )
    if any("quantization" in rewriter for rewriter in _children(message, "graph_rewriter")):
        taken = "trained in float32, exported as int8 too (post-training quantization)"
        mapped.append(Mapped("graph_rewriter", "quantization", taken))
    return tuple(mapped)


def _model(family: Message, path: str) -> list[Mapped]:
    mapped = []
    for extractor in _children(family, "feature_extractor"):
        kind = str(extractor.get("type", [""])[-1])
        if kind in TWINS:
            extractor["type"] = [TWINS[kind]]
            mapped.append(Mapped(f"{path}.feature_extractor.type", kind, f"{TWINS[kind]}, its twin in TensorFlow 2"))
        multiplier = extractor.get("depth_multiplier", [1])[-1]
        if kind.startswith("ssd_mobilenet_v1") and multiplier != 1:
            taken = f"{multiplier} times {multiplier}, as the API of TensorFlow 2 multiplies it"
            mapped.append(Mapped(f"{path}.feature_extractor.depth_multiplier", str(multiplier), taken))
        if path == "model.ssd" and (trainable := extractor.pop("batch_norm_trainable", None)):
            mapped += _batch_norm_of_ssd(family, trainable[-1], path)
    if family.get("number_of_stages", [2])[-1] == 3:
        mapped.append(Mapped(f"{path}.number_of_stages", "3", "2: boxes are trained, masks are dropped"))
    return mapped


def _batch_norm_of_ssd(family: Message, trainable: Value, path: str) -> list[Mapped]:
    """What the first files of the API had in an extractor, before there was `freeze_batchnorm`."""
    if trainable in ("true", "t", "True", 1):
        return []
    family["freeze_batchnorm"] = [Identifier("true")]
    return [Mapped(f"{path}.feature_extractor.batch_norm_trainable", str(trainable), "freeze_batchnorm: true")]


def _training(train_config: Message) -> list[Mapped]:
    mapped = []
    if _true(train_config, "from_detection_checkpoint"):
        kind = train_config.get("fine_tune_checkpoint_type", [""])[-1]
        if not kind:
            train_config["fine_tune_checkpoint_type"] = ["detection"]
        taken = f"fine_tune_checkpoint_type: {kind or 'detection'}"
        mapped.append(Mapped("train_config.from_detection_checkpoint", "true", taken))
    if _true(train_config, "load_all_detection_checkpoint_vars"):
        if train_config.get("fine_tune_checkpoint_type", [""])[-1] == "detection":
            del train_config["fine_tune_checkpoint_type"]
        taken = "all that fits, heads too, of class heads the columns of each class of equal name"
        mapped.append(Mapped("train_config.load_all_detection_checkpoint_vars", "true", taken))
    if _true(train_config, "use_bfloat16"):
        mapped.append(Mapped("train_config.use_bfloat16", "true", "float32: the field counts only on TPUs"))
    return mapped


def _schedules(train_config: Message) -> list[Mapped]:
    """A first step of 0, with which the API of TensorFlow 1 let a schedule begin: its rate is the first one."""
    mapped = []
    for optimizer in _children(train_config, "optimizer"):
        for kind in [*optimizer]:
            for rate in [rate for each in _children(optimizer, kind) for rate in _children(each, "learning_rate")]:
                for manual in _children(rate, "manual_step_learning_rate"):
                    mapped += _from_step_0(rate, manual, f"train_config.optimizer.{kind}.learning_rate")
    return mapped


def _from_step_0(rate: Message, manual: Message, path: str) -> list[Mapped]:
    first, *rest = _children(manual, "schedule") or [Message()]
    if first.get("step", [None])[-1] != 0 or any(later.get("step", [0])[-1] == 0 for later in rest):
        return []
    value = first.get("learning_rate", [0.002])[-1]
    manual["initial_learning_rate"] = [value]
    manual["schedule"] = [*rest]
    taken = f"initial_learning_rate: {value}"
    if manual.pop("warmup", None) not in (None, [Identifier("false")]):
        taken += ", without a warm-up, which would end at step 0"
    if not rest:
        del rate["manual_step_learning_rate"]
        rate["constant_learning_rate"] = [Message(learning_rate=[value])]
        taken = f"constant_learning_rate: {value}"
    return [Mapped(f"{path}.manual_step_learning_rate.schedule", "step: 0", taken)]


def _children(message: Message, name: str) -> list[Message]:
    return [value for value in message.get(name, []) if isinstance(value, Message)]


def _true(message: Message, name: str) -> bool:
    value = message.get(name, [False])[-1]
    return isinstance(value, Identifier) and value in ("true", "t", "True")
