# SPDX-License-Identifier: Apache-2.0
"""A pipeline.config with what the job says put over it, and a line for each thing that was."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from training_src.errors import ConfigurationError
from training_src.models.config.decoding import decode, message_of
from training_src.models.config.pipeline import PipelineConfig, PipelineDescription, with_batch_size, with_num_steps
from training_src.text_format import Message, parse
from training_src.training.config_warnings import greatest_rate
from training_src.training.hyperparameters import BuiltIn
from training_src.training.request import Request


def overridden(description: PipelineDescription, request: Request) -> tuple[PipelineDescription, list[str]]:
    """The description that is trained, but for its batch and its length.

    Args:
        description: The user's or the architecture's.
        request: What the job says.

    Returns:
        The description, and the lines to print.

    Raises:
        ConfigurationError: If a hyperparameter cannot be honoured.
    """
    message = parse(description.text())
    lines = _paths(message, request) if request.config else []
    lines += _built_in(message_of(message, "train_config"), request.built_in)
    if request.quantize and "graph_rewriter" not in message:
        message["graph_rewriter"] = [parse("quantization { }")]
        lines.append("quantize: an int8 form is exported beside the float32 model")
    return replace(description, config=decode(PipelineConfig, message), message=message), lines


def at_size(
    description: PipelineDescription, request: Request, batch_size: int, images: int
) -> tuple[PipelineDescription, list[str]]:
    """The description with a batch and with the number of steps that the job asks for, and the lines to print.

    Args:
        description: With the config's batch and length.
        request: What the job says.
        batch_size: Images a step.
        images: Training images, for epochs.

    Raises:
        ConfigurationError: If there is no number of steps.
    """
    described, lines = _at_batch(description, request, batch_size)
    configured = description.config.train_config.num_steps
    steps = request.num_steps or request.epochs * -(-images // batch_size) or configured
    if steps < 1:
        raise ConfigurationError(
            f"{description.source}: train_config.num_steps is not set; set it, or num_train_steps."
        )
    if configured not in (0, steps):
        lines.append(f"schedule of {configured} steps, scaled to the {steps} that were asked for")
    return with_num_steps(described, steps), lines


def _at_batch(
    description: PipelineDescription, request: Request, batch_size: int
) -> tuple[PipelineDescription, list[str]]:
    """The learning rate changes in proportion, unless the job gives one: https://arxiv.org/abs/1706.02677."""
    train_config = description.config.train_config
    before = train_config.batch_size
    if batch_size == before:
        return description, []
    described = with_batch_size(description, batch_size, scale_rate=not request.built_in.gives_rate)
    old, new = (greatest_rate(one.optimizer.learning_rate) for one in (train_config, described.config.train_config))
    rate = f"learning rate {old:.4g} -> {new:.4g} in proportion" if new != old else f"learning rate {old:.4g} as given"
    return described, [f"batch of {before} -> {batch_size}; {rate}"]


def _paths(message: Message, request: Request) -> list[str]:
    """Channels take the place of the config's paths."""
    lines = []
    for reader, folder in (("train_input_reader", request.train), ("eval_input_reader", request.validation)):
        for child in message.get(reader, []):
            if not isinstance(child, Message):
                continue
            lines += _replaced(child, f"{reader}.label_map_path", "label_map_path", "the label map of the channels")
            for record_reader in child.get("tf_record_input_reader", []):
                if isinstance(record_reader, Message):
                    place = f"{reader}.tf_record_input_reader.input_path"
                    lines += _replaced(record_reader, place, "input_path", f"{folder.name} channel")
    if request.checkpoint:
        place = "train_config.fine_tune_checkpoint"
        train_config = message_of(message, "train_config")
        lines += _replaced(train_config, place, "fine_tune_checkpoint", str(request.checkpoint))
    return lines


def _replaced(parent: Message, place: str, name: str, by: str) -> list[str]:
    return [f"{place}: {value!s} -> {by}" for value in parent.get(name, []) if value and str(value) != by]


def _built_in(train_config: Message, given: BuiltIn) -> list[str]:
    """The built-in algorithm's hyperparameters, put into a `train_config`."""
    lines = []
    if given.gives_rate:
        text = f"{OPTIMIZERS[given.optimizer](given)} use_moving_average: false"
        train_config["optimizer"] = [parse(text)]
        lines.append(f"train_config.optimizer: {text}")
    if given.train_only_on_top_layer:
        train_config["freeze_variables"] = [*train_config.get("freeze_variables", []), "FeatureExtractor"]
        lines.append("train_config.freeze_variables: FeatureExtractor (train_only_on_top_layer)")
    if given.reinitialize_top_layer != "auto":
        kind = "detection" if given.reinitialize_top_layer == "true" else "full"
        train_config["fine_tune_checkpoint_type"] = [kind]
        lines.append(f"train_config.fine_tune_checkpoint_type: {kind} (reinitialize_top_layer)")
    return lines


def _adam(given: BuiltIn) -> str:
    # The API has them fixed, and no fields for them: they are written where they are others.
    betas = (
        f"{name}: {value} "
        for name in ("beta_1", "beta_2")
        if (value := getattr(given, name)) != BuiltIn.model_fields[name].default
    )
    return f"adam_optimizer {{ {_rate(given)} epsilon: {given.epsilon} {''.join(betas)}}}"


def _sgd(given: BuiltIn) -> str:
    return f"momentum_optimizer {{ {_rate(given)} momentum_optimizer_value: {given.momentum} }}"


def _nesterov(given: BuiltIn) -> str:
    return f"momentum_optimizer {{ {_rate(given)} momentum_optimizer_value: {given.momentum} nesterov: true }}"


def _rms_prop(given: BuiltIn) -> str:
    return (
        f"rms_prop_optimizer {{ {_rate(given)} decay: {given.rho} epsilon: {given.epsilon} "
        "momentum_optimizer_value: 0.0 }"
    )


OPTIMIZERS: Mapping[str, Callable[[BuiltIn], str]] = {
    "adam": _adam,
    "sgd": _sgd,
    "nesterov": _nesterov,
    "rmsprop": _rms_prop,
}


def _rate(given: BuiltIn) -> str:
    return f"learning_rate {{ constant_learning_rate {{ learning_rate: {given.learning_rate} }} }}"
