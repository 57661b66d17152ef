# SPDX-License-Identifier: Apache-2.0
"""`update_trainable_variables`, `freeze_variables`, `bias_grad_multiplier`: which variables a step changes, and how.

The patterns are searched in two names of each variable: its path in the checkpoint, and that path with the scopes
that files of the API's first version speak of, `FeatureExtractor/` and `BoxPredictor/`.
"""

import re
from collections.abc import Mapping, Sequence

import keras

from training_src.errors import ConfigurationError
from training_src.models.checkpoints.files import SUFFIX
from training_src.models.config.training import TrainConfig

SCOPES = (
    (re.compile(r"^model/_feature_extractor(_for_\w+?_features)?(?=/|$)"), "FeatureExtractor"),
    (
        re.compile(r"^model/_(box_predictor|first_stage_box_predictor\w*|mask_rcnn_box_predictor)(?=/|$)"),
        "BoxPredictor",
    ),
)


def trained_variables(
    config: TrainConfig, variables: Mapping[str, keras.Variable], trainable: Sequence[keras.Variable]
) -> list[keras.Variable]:
    """Those of the trainable variables that the config does not hold fast.

    Args:
        config: With `update_trainable_variables` and `freeze_variables`.
        variables: By checkpoint key.
        trainable: In the order in which the optimizer takes them.

    Raises:
        ConfigurationError: If a pattern is no regular expression or matches nothing, or nothing is left to train.
    """
    keys = {id(variable): key.removesuffix(SUFFIX) for key, variable in variables.items()}
    names = [_names(keys[id(variable)]) for variable in trainable]
    kept = set(range(len(trainable)))
    if config.update_trainable_variables:
        kept &= _matching("update_trainable_variables", config.update_trainable_variables, names)
    if config.freeze_variables:
        kept -= _matching("freeze_variables", config.freeze_variables, names)
    if not kept:
        raise ConfigurationError(
            "train_config: update_trainable_variables and freeze_variables leave nothing to train; remove a pattern."
        )
    return [variable for index, variable in enumerate(trainable) if index in kept]


def gradient_multipliers(
    config: TrainConfig, variables: Mapping[str, keras.Variable], trained: Sequence[keras.Variable]
) -> list[float]:
    """What each gradient is multiplied by: `bias_grad_multiplier` for biases, unless it is 0."""
    biases = {id(variable) for key, variable in variables.items() if key.removesuffix(SUFFIX).endswith("/bias")}
    factor = config.bias_grad_multiplier or 1.0
    return [factor if id(variable) in biases else 1.0 for variable in trained]


def _names(key: str) -> list[str]:
    aliases = [pattern.sub(scope, key) for pattern, scope in SCOPES]
    return [key, *(alias for alias in aliases if alias != key)]


def _matching(field: str, patterns: Sequence[str], names: Sequence[Sequence[str]]) -> set[int]:
    matching: set[int] = set()
    for pattern in patterns:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ConfigurationError(
                f"train_config.{field}: {pattern!r} is no regular expression ({error}); mend it."
            ) from None
        found = {index for index, spellings in enumerate(names) if any(map(compiled.search, spellings))}
        if not found:
            raise ConfigurationError(
                f"train_config.{field}: {pattern!r} matches none of the {len(names)} trainable variables; "
                f"their names are like {names[0][0]}."
            )
        matching |= found
    return matching
