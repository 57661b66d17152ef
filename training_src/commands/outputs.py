# SPDX-License-Identifier: Apache-2.0
"""`outputs`: every number of a detector that can be compared with another implementation's."""

from pathlib import Path

from training_src.errors import BadInputError


def run(
    *,
    pipeline_config: Path,
    checkpoint: str,
    images: Path,
    output: Path,
    training: bool = False,
    groundtruth: Path | None = None,
) -> int:
    """Write the arrays of inference, and those of a training step where that is asked for."""
    if training != (groundtruth is not None):
        raise BadInputError("--training and --groundtruth go together: name both or neither.")

    # TensorFlow takes seconds, and has something to say.
    from training_src.models import outputs
    from training_src.models.architectures import build_detector
    from training_src.models.checkpoints.checkpoint import restore
    from training_src.models.config.pipeline import load

    detector = build_detector(load(pipeline_config, num_classes=1).config.model)
    restore(detector.variables(), checkpoint, "full")
    inputs = outputs.preprocess(detector, outputs.read_images(images))
    arrays = outputs.inference_arrays(detector, inputs)
    if groundtruth:
        arrays |= outputs.training_arrays(detector, inputs, outputs.read_ground_truth(groundtruth))
    outputs.write(output, arrays)
    print(f"{output}: {len(arrays)} arrays")
    return 0
