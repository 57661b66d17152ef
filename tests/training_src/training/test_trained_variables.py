# SPDX-License-Identifier: Apache-2.0
"""Which variables a training changes."""

from collections.abc import Sequence

import keras
import pytest

from training_src.errors import ConfigurationError
from training_src.models.config.decoding import decode
from training_src.models.config.training import TrainConfig
from training_src.text_format import parse
from training_src.training.trained_variables import gradient_multipliers, trained_variables

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
NAMES = ["model/_feature_extractor/a/kernel", "model/_feature_extractor/b/kernel", "model/_box_predictor/head/bias"]
VARIABLES = {name + SUFFIX: keras.Variable([0.0]) for name in NAMES}


def config(text: str) -> TrainConfig:
    return decode(
        TrainConfig,
        parse(f"optimizer {{ adam_optimizer {{ learning_rate {{ constant_learning_rate {{}} }} }} }} {text}"),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", NAMES),
        ('freeze_variables: "_feature_extractor/a"', NAMES[1:]),
        ('freeze_variables: "FeatureExtractor"', NAMES[2:]),
        ('freeze_variables: ".*BoxPredictor.*"', NAMES[:2]),
        ('update_trainable_variables: "BoxPredictor"', NAMES[2:]),
        ('update_trainable_variables: "FeatureExtractor" freeze_variables: "^FeatureExtractor/b"', NAMES[:1]),
    ],
)
def test_patterns_choose_by_either_name(text: str, expected: Sequence[str]) -> None:
    trained = trained_variables(config(text), VARIABLES, list(VARIABLES.values()))
    assert [id(variable) for variable in trained] == [id(VARIABLES[name + SUFFIX]) for name in expected]


def test_only_biases_are_multiplied() -> None:
    assert gradient_multipliers(config("bias_grad_multiplier: 2.0"), VARIABLES, list(VARIABLES.values())) == [1, 1, 2]
    assert gradient_multipliers(config(""), VARIABLES, list(VARIABLES.values())) == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('freeze_variables: "MobilenetV1"', "'MobilenetV1' matches none of the 3 trainable variables"),
        ('freeze_variables: "a("', "no regular expression"),
        ('freeze_variables: ".*"', "leave nothing to train"),
    ],
)
def test_a_pattern_without_sense_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        trained_variables(config(text), VARIABLES, list(VARIABLES.values()))
