# SPDX-License-Identifier: Apache-2.0
"""Hyperparameters as SageMaker hands them over: texts, quoted or not."""

import pytest

from training_src.errors import ConfigurationError
from training_src.training.hyperparameters import (
    WITHOUT_EFFECT,
    BuiltIn,
    ForeignNames,
    Hyperparameters,
    Settings,
    read_settings,
    wanted,
)

KINDS = (Settings, ForeignNames, BuiltIn)
# The options of model_main_tf2.py and of model_main.py, but for `hparams_overrides`, which changes what is learnt:
# https://github.com/tensorflow/models/tree/master/research/object_detection
OF_THE_APIS_SCRIPTS = frozenset(
    [
        "model_dir",
        "pipeline_config_path",
        "num_train_steps",
        "eval_on_train_data",
        "sample_1_of_n_eval_examples",
        "sample_1_of_n_eval_on_train_examples",
        "checkpoint_dir",
        "eval_timeout",
        "use_tpu",
        "tpu_name",
        "num_workers",
        "checkpoint_every_n",
        "record_summaries",
        "alsologtostderr",
        "eval_training_data",
        "run_once",
        "max_eval_retries",
    ]
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_hyperparameter_is_described_and_has_a_default(kind: type[Hyperparameters]) -> None:
    for name, field in kind.model_fields.items():
        assert (field.description or "").endswith("."), name
        assert not field.is_required(), name
        assert wanted(kind, name), name


def test_every_option_of_the_apis_scripts_is_obeyed_or_said_to_be_without_effect() -> None:
    assert (OF_THE_APIS_SCRIPTS & ForeignNames.names()) | set(WITHOUT_EFFECT) == OF_THE_APIS_SCRIPTS


def test_no_name_means_two_things() -> None:
    names = [name for kind in KINDS for name in kind.names()]
    assert len(names) == len(set(names))


def test_values_are_read_with_and_without_the_quotes_of_the_sdk() -> None:
    settings = Settings.of({"seed": "18", "xla": '"off"', "deterministic": '"True"', "early_stopping_min_delta": ""})
    assert (settings.seed, settings.xla, settings.deterministic) == (18, "off", True)
    assert settings.early_stopping_min_delta == 0


@pytest.mark.parametrize(("text", "part"), [("auto", None), ('"auto"', None), ("0", 0.0), ("0.4", 0.4)])
def test_a_part_may_be_left_to_what_was_measured(text: str, part: float | None) -> None:
    assert Settings.of({"progressive_resizing": text}).progressive_resizing == part


@pytest.mark.parametrize(
    ("kind", "name", "text", "wanted"),
    [
        (Settings, "seed", "-1", "a whole number of 0 or more"),
        (Settings, "seed", "1.5", "a whole number of 0 or more"),
        (Settings, "early_stopping_min_delta", "nan", "a number of 0 or more"),
        (Settings, "early_stopping_min_delta", "inf", "a number of 0 or more"),
        (Settings, "deterministic", "perhaps", "true or false"),
        (Settings, "progressive_resizing", "1", "auto or a part below 1"),
        (Settings, "mixed_precision", "yes", "one of auto, on, off"),
        (BuiltIn, "optimizer", "lion", "one of adam, sgd, nesterov, rmsprop, adagrad, adadelta"),
        (BuiltIn, "early_stopping", "perhaps", "true or false"),
    ],
)
def test_a_wrong_value_is_a_sentence(kind: type[Hyperparameters], name: str, text: str, wanted: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        kind.of({name: text})
    assert str(raised.value) == f'The hyperparameter {name} is "{text}"; give {wanted}.'


@pytest.mark.parametrize(
    ("given", "patience", "metric"),
    [
        ({}, 0, "mAP"),
        ({"early_stopping_patience": "3"}, 3, "mAP"),
        ({"early_stopping": "True"}, 5, "loss"),
        ({"early_stopping": "True", "early_stopping_patience": "3", "early_stopping_metric": "mAP"}, 3, "mAP"),
        ({"early_stopping": "False", "early_stopping_patience": "3"}, 0, "mAP"),
    ],
)
def test_the_built_in_algorithms_switch_watches_the_loss(given: dict[str, str], patience: int, metric: str) -> None:
    settings = read_settings(given)
    assert settings.early_stopping_patience == patience
    if patience:
        assert settings.early_stopping_metric == metric
