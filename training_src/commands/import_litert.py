# SPDX-License-Identifier: Apache-2.0
"""`import_litert`: a LiteRT file of an SSD MobileNet V2 to a checkpoint in the zoo's layout."""

from pathlib import Path

from training_src.data.label_map import LabelMap, write_label_map
from training_src.errors import BadInputError
from training_src.export.new_folder import new_folder

CHECKPOINT = "checkpoint/ckpt-0"


def run(*, model: Path, labels: Path, architecture: str, output: Path) -> int:
    """Write `checkpoint/ckpt-0`, `pipeline.config` and `label_map.pbtxt` into a new or empty folder.

    `labels` names a class a line, in the order of the model's outputs; the first is the background's.
    """
    with new_folder(output) as unfinished:
        label_map, content = _label_map(labels), _content(model)

        # TensorFlow takes seconds, and has something to say.
        from training_src.models.architectures import build_detector
        from training_src.models.checkpoints.files import write
        from training_src.models.checkpoints.litert import variables_of
        from training_src.models.config.pipeline import load_bundled

        description = load_bundled(architecture, label_map.greatest_id)
        ssd = description.config.model.ssd
        norm = ssd.feature_extractor.conv_hyperparams.batch_norm if ssd else None
        if norm is None:
            raise BadInputError(f"--architecture {architecture}: a LiteRT file can be read only for SSD MobileNet V2")
        variables = build_detector(description.config.model).variables()
        values = variables_of(content, {key: variable.shape for key, variable in variables.items()}, norm.epsilon)
        (unfinished / CHECKPOINT).parent.mkdir(parents=True)
        write(str(unfinished / CHECKPOINT), values)
        write_label_map(label_map, unfinished / "label_map.pbtxt")
        (unfinished / "pipeline.config").write_text(description.text(), encoding="utf-8")
    print(f"{output}: {len(values)} variables of {description.source} for {len(label_map.names)} classes")
    return 0


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInputError(f"{file}: cannot be read ({error.strerror})") from error


def _label_map(file: Path) -> LabelMap:
    try:
        _, *names = _content(file).decode().splitlines()
    except ValueError as error:
        raise BadInputError(f"{file}: no list of labels, a line each and the background first ({error})") from error
    if not names or len(set(names)) < len(names) or not all(name.isprintable() and name.strip() for name in names):
        raise BadInputError(f"{file}: behind the background's line each class needs a line with a name of its own")
    return LabelMap(dict(enumerate(names, start=1)))
