# SPDX-License-Identifier: Apache-2.0
r"""A training job's hyperparameters: what each means, and what it may be.

SageMaker's SDK quotes their values as JSON (`"\"auto\""`), its console does not: both are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from training_src.errors import ConfigurationError
from training_src.training.written_settings import plain, settings_in

# The text says what is to be given instead of a wrong value.
Count = Annotated[int, Field(ge=0), "a whole number of 0 or more"]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False), "a number of 0 or more"]
Decay = Annotated[float, Field(ge=0, lt=1), "a part below 1"]
Part = Annotated[
    Annotated[float, Field(ge=0, lt=1)] | None,
    BeforeValidator(lambda value: None if value == "auto" else value),
    "auto or a part below 1",
]
BatchSize = Annotated[
    Annotated[int, Field(ge=1)] | Literal["auto"] | None,
    "auto or a whole number of 1 or more",
]
Lower = BeforeValidator(str.lower)
# How names begin that SageMaker's SDK adds for its own containers; some say which job it is.
OF_THE_SDK = ("sagemaker_", "_")
# Told and left out: the platform decides where files go, and SageMaker's SDK speaks of its own containers.
WITHOUT_EFFECT = {
    "model_dir": "checkpoints go to the job's checkpoints folder, the model to its model folder",
    "checkpoint_dir": "a training validates as it goes on; what it starts from is the config's fine_tune_checkpoint",
    "checkpoint_every_n": "checkpoint_interval says how often",
    "sample_1_of_n_eval_on_train_examples": "the training split is not evaluated",
    "alsologtostderr": "everything is printed",
    "eval_on_train_data": "the training split is not evaluated",
    "eval_timeout": "nothing is waited for",
    "num_workers": "the job's instances are the workers",
    "record_summaries": "TensorBoard's events are always written",
    "use_tpu": "there are none on SageMaker",
    "tpu_name": "there are none on SageMaker",
    # Of the script for TensorFlow 1, model_main.py.
    "eval_training_data": "the training split is not evaluated",
    "run_once": "a training validates as it goes on",
    "max_eval_retries": "nothing is waited for",
}


class Hyperparameters(BaseModel):
    """Some of a job's hyperparameters; each field's description is its documentation."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def names(cls) -> frozenset[str]:
        return frozenset(cls.model_fields)

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Self:
        """These among a job's hyperparameters, the defaults of those that are missing or empty.

        Raises:
            ConfigurationError: If a value is not of its kind.
        """
        texts = {name: text for name in cls.model_fields if (text := plain(given.get(name, "")))}
        try:
            return cls.model_validate(texts)
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            raise ConfigurationError(
                f'The hyperparameter {name} is "{texts[name]}"; give {wanted(cls, name)}.'
            ) from None


class Settings(Hyperparameters):
    """How training goes on; what is learnt stands in the pipeline.config."""

    seed: Count = Field(default=17, description="Of weights, order and augmentation.")
    batch_size: BatchSize = Field(
        default=None,
        description="Images a step, the learning rate in proportion; auto means at most the config's, as far as memory "
        "goes. Without it auto for a bundled architecture, and the config's for a pipeline.config of your own.",
    )
    validation_interval: Count = Field(
        default=0,
        description="Steps between two validations; 0: an epoch where `epochs` is given, else a tenth of the training.",
    )
    checkpoint_interval: Count = Field(
        default=0, description="Steps between two checkpoints; 0: a tenth of the training, at most 500."
    )
    early_stopping_patience: Count = Field(
        default=0,
        description="Validations without improvement after which training ends, epochs where `epochs` is given; "
        "0: never.",
    )
    early_stopping_metric: Literal["mAP", "loss"] = Field(
        default="mAP", description="Both on the validation split; it also decides which weights are the best."
    )
    early_stopping_min_delta: Number = Field(
        default=0.0,
        description="By how much a validation must be better than the last improvement to be one; what is best is kept "
        "in any case.",
    )
    deterministic: bool = Field(
        default=False, description="Whether equal runs give equal bits; slower where kernels have to be exchanged."
    )
    mixed_precision: Literal["auto", "on", "off"] = Field(
        default="auto", description="16-bit activations; auto means on GPUs with tensor cores."
    )
    xla: Literal["auto", "loss", "step", "off"] = Field(
        default="auto",
        description="Whether XLA compiles the loss, or the whole step, which is for GPUs; auto means the loss, where "
        "that was measured to help.",
    )
    progressive_resizing: Part = Field(
        default=None,
        description="The part of the steps, from the first one, that learn from smaller images; auto means what was "
        "measured to help a bundled architecture, trained from scratch, where no class gets too small.",
    )
    quantize: bool = Field(
        default=False, description="Whether an int8 form is exported beside the float32 model, and `.tflite` files."
    )


class OwnNames(Hyperparameters):
    """What a job of our own pipeline is to train, and for how long."""

    architecture: str = Field(default="", description="A bundled architecture, where there is no channel `config`.")
    num_train_steps: Count = Field(default=0, description="Steps; 0: the config's.")
    initial_checkpoint_uri: str = Field(
        default="",
        description="Where the channel `checkpoint` lies in S3. What a model.tar.gz says of the images that it has "
        "seen is believed below `models/` and `released/` of `data_bucket` alone.",
    )
    data_bucket: str = Field(default="", description="The environment's bucket, in which its own models lie.")


class ForeignNames(OwnNames):
    """The same in the words of the training images that people have had so far."""

    num_steps: Count = Field(default=0, description="As `num_train_steps`, which wins where both are given.")
    epochs: Count = Field(default=0, description="Instead of steps: times images over `batch_size`, rounded up.")
    pipeline_config_path: str = Field(
        default="",
        description="A pipeline.config by its place in the container, beside the code, or its name in a channel.",
    )
    sample_1_of_n_eval_examples: Count = Field(default=1, description="Only one of so many validation images counts.")


class BuiltIn(Hyperparameters):
    """The built-in Object Detection - TensorFlow algorithm's, which change the config's `train_config`."""

    # https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection-tensorflow-Hyperparameter.html

    optimizer: Annotated[Literal["adam", "sgd", "nesterov", "rmsprop", "adagrad", "adadelta"], Lower] = Field(
        default="adam",
        description="With a constant rate, whatever the batch; without it and `learning_rate` the config's. "
        "Adagrad and adadelta are refused.",
    )
    learning_rate: Number = Field(default=0.001, description="A constant rate.")
    beta_1: Decay = Field(default=0.9, description="Of adam: how much of the gradients' mean is kept.")
    beta_2: Decay = Field(default=0.999, description="Of adam: how much of their squares' mean is kept.")
    epsilon: Number = Field(default=1e-7, description="Of adam and rmsprop.")
    momentum: Number = Field(default=0.9, description="Of sgd and nesterov.")
    rho: Number = Field(default=0.95, description="Of rmsprop: how fast it forgets.")
    initial_accumulator_value: Number = Field(
        default=0.1, description="Without effect: of adagrad, which there is not."
    )
    train_only_on_top_layer: bool = Field(default=False, description="Whether the feature extractor is held fast.")
    reinitialize_top_layer: Annotated[Literal["auto", "true", "false"], Lower] = Field(
        default="auto",
        description="Whether a checkpoint's heads are left out; auto: as the config says, else classes that have the "
        "same name in it keep theirs.",
    )
    early_stopping: bool | None = Field(
        default=None,
        description="Whether training ends without improvement of the loss for some epochs, 5 unless told otherwise.",
    )

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Self:
        """These among a job's hyperparameters.

        Raises:
            ConfigurationError: If a value is not of its kind, or the optimizer is one that there is not.
        """
        read = super().of(given)
        if read.optimizer in ("adagrad", "adadelta"):
            raise ConfigurationError(
                f'The hyperparameter optimizer is "{read.optimizer}", which there is not here; give adam or rmsprop, '
                "which adapt the rate of each weight too."
            )
        return read

    @property
    def gives_rate(self) -> bool:
        """Whether the config's optimizer and its schedule are replaced."""
        return bool(self.model_fields_set & {"optimizer", "learning_rate"})


def read_settings(hyperparameters: Mapping[str, str]) -> Settings:
    """A job's settings, with the built-in algorithm's switch for early stopping taken into account.

    Raises:
        ConfigurationError: If a value is not of its kind.
    """
    settings, switch = Settings.of(hyperparameters), BuiltIn.of(hyperparameters).early_stopping
    if switch is None:
        return settings
    patience = (settings.early_stopping_patience or 5) if switch else 0
    # It watches the loss unless told otherwise.
    metric = settings.early_stopping_metric if "early_stopping_metric" in settings.model_fields_set else "loss"
    return settings.model_copy(update={"early_stopping_patience": patience, "early_stopping_metric": metric})


def unpacked(hyperparameters: Mapping[str, str]) -> dict[str, str]:
    """The same with the hyperparameter `settings`, which the pipeline has for all of them, taken apart.

    Args:
        hyperparameters: `settings` is a list such as `seed=18 early_stopping_patience=5`.

    Raises:
        ConfigurationError: If it is no such list, or a setting is given twice.
    """
    single = {name: value for name, value in hyperparameters.items() if name != "settings"}
    for name, value in settings_in(hyperparameters.get("settings", "")).items():
        if name in single:
            raise ConfigurationError(f"The setting {name} is given twice; give it once.")
        single[name] = value
    return single


def wanted(kind: type[Hyperparameters], name: str) -> str:
    """What a hyperparameter takes, in words: `a whole number of 0 or more`, `one of auto, on, off`."""
    field = kind.model_fields[name]
    annotation: Any = field.annotation
    choices = [str(choice) for choice in get_args(annotation) if isinstance(choice, str)]
    if choices:
        return f"one of {', '.join(choices)}"
    told = [entry for entry in field.metadata if isinstance(entry, str)]
    return told[0] if told else "a text" if annotation is str else "true or false"
