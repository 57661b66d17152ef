# SPDX-License-Identifier: Apache-2.0
"""Where the data decide the input's size and the anchors of what is trained, and where something of the user's does."""

from training_src.errors import TextFormatError
from training_src.models.checkpoints.files import beside
from training_src.models.config.pipeline import PipelineDescription, load
from training_src.models.errors import ConfigError
from training_src.models.fitted_input import FittedInput, decided_by_data, input_size, with_input_of
from training_src.models.zoo import zoo_model
from training_src.training.initial_checkpoint import InitialCheckpoint
from training_src.training.request import Request

# Types of fine_tune_checkpoint_type with which box heads come from the checkpoint; none written means class by class.
KEEPING_HEADS = ("", "full", "detection_with_heads")


def following_data(
    description: PipelineDescription, request: Request, initial: InitialCheckpoint | None
) -> FittedInput:
    """The description with the input and the anchors that are trained, and a sentence for each thing decided.

    A box head's numbers mean nothing without the anchors that they were trained with. So a checkpoint of the same
    detector that the user gave brings its own size and anchors, by the `pipeline.config` beside it; one without any, or
    with one that this version cannot read, leaves the architecture's.

    Args:
        description: The user's or the architecture's.
        request: What the job says, with the shapes of its boxes.
        initial: What the training starts from.
    """
    if request.config is not None or not zoo_model(description.source).follows_data:
        return FittedInput(description, ())
    if initial is None or initial.origin == "pretrained" or initial.kind not in KEEPING_HEADS:
        return decided_by_data(description, request.shapes)
    config = beside(initial.prefix, "pipeline.config")
    if config is None:
        return FittedInput(description, ("input and anchors stay the architecture's, as a checkpoint was given",))
    try:
        taken = with_input_of(description, load(config, 1))
    except (ConfigError, TextFormatError) as error:
        why = f"as the checkpoint's pipeline.config cannot be read: {error}"
        return FittedInput(description, (f"input and anchors stay the architecture's, {why}",))
    if taken is None:  # another detector, whose box heads are not taken
        return decided_by_data(description, request.shapes)
    size = "x".join(map(str, input_size(taken)))
    return FittedInput(taken, (f"input {size} and anchors are those of the checkpoint's pipeline.config",))
