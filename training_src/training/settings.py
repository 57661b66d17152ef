# SPDX-License-Identifier: Apache-2.0
r"""Hyperparameters that say how training goes on; what is learnt stands in the pipeline.config.

SageMaker's SDK quotes them as JSON (`"\"auto\""`), its console does not: both are read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from training_src.errors import ConfigurationError


@dataclass(frozen=True)
class Settings:
    """What the loop is told.

    Attributes:
        seed: Of weights, order and augmentation.
        validation_interval: Steps between two validations; 0: a tenth of the training.
        checkpoint_interval: Steps between two checkpoints; 0: a tenth of the training, at most 500.
        early_stopping_patience: Validations without improvement after which training ends; 0: never.
        early_stopping_metric: `mAP` or `loss`, both on the validation split; also decides which weights are the best.
        early_stopping_min_delta: What counts as an improvement.
        deterministic: Whether equal runs give equal bits; slower where kernels have to be exchanged.
        mixed_precision: `auto`, `on` or `off`: 16-bit activations; auto means on GPUs with tensor cores.
        xla: `auto`, `loss`, `step` or `off`: whether XLA compiles the loss, or the whole step, which is for GPUs; auto
            means the loss, where that was measured to help.
        progressive_resizing: The part of the steps, from the first one, that learn from smaller images; None (`auto`)
            means what was measured to help a bundled architecture, trained from scratch, where no class gets too small.
    """

    seed: int = 17
    validation_interval: int = 0
    checkpoint_interval: int = 0
    early_stopping_patience: int = 0
    early_stopping_metric: str = "mAP"
    early_stopping_min_delta: float = 0.0
    deterministic: bool = False
    mixed_precision: str = "auto"
    xla: str = "auto"
    progressive_resizing: float | None = None

    @classmethod
    def names(cls) -> frozenset[str]:
        return frozenset(item.name for item in fields(cls))

    @classmethod
    def of(cls, hyperparameters: Mapping[str, str]) -> Settings:
        """Those among a job's hyperparameters that are settings, the others' defaults.

        Raises:
            ConfigurationError: If a value is not of its kind.
        """
        given: dict[str, Any] = {}
        for item in fields(cls):
            text = plain(hyperparameters.get(item.name, ""))
            if text:
                given[item.name] = READERS[type(item.default)](item.name, text)
        settings = cls(**given)
        for name, choices in CHOICES.items():
            if getattr(settings, name) not in choices:
                raise ConfigurationError(
                    f'The hyperparameter {name} is "{getattr(settings, name)}"; give one of {", ".join(choices)}.'
                )
        return settings


CHOICES = {
    "early_stopping_metric": ("mAP", "loss"),
    "mixed_precision": ("auto", "on", "off"),
    "xla": ("auto", "loss", "step", "off"),
}


def unpacked(hyperparameters: Mapping[str, str]) -> dict[str, str]:
    """The same with the hyperparameter `settings`, which the pipeline has for all of them, taken apart.

    Args:
        hyperparameters: `settings` is a list such as `seed=18 early_stopping_patience=5`.

    Raises:
        ConfigurationError: If it is no such list, or a setting is given twice.
    """
    single = {name: value for name, value in hyperparameters.items() if name != "settings"}
    for item in plain(hyperparameters.get("settings", "")).split():
        name, _, value = item.partition("=")
        if name not in Settings.names() or not value:
            known = ", ".join(sorted(Settings.names()))
            raise ConfigurationError(f'TrainingSettings holds "{item}"; give NAME=VALUE with one of {known}.')
        if name in single:
            raise ConfigurationError(f"The setting {name} is given twice; give it once.")
        single[name] = value
    return single


def plain(text: str) -> str:
    """A hyperparameter's value without the quotes that SageMaker's SDK puts around it."""
    text = text.strip()
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text)).strip()
    except ValueError:
        return text


def whole_number(name: str, text: str) -> int:
    """A count.

    Raises:
        ConfigurationError: If it is none.
    """
    text = plain(text)
    if not text.isdecimal():
        raise ConfigurationError(f'The hyperparameter {name} is "{text}"; give a whole number of 0 or more.')
    return int(text)


def fraction(name: str, text: str) -> float:
    """A number of 0 or more.

    Raises:
        ConfigurationError: If it is none.
    """
    try:
        value = float(plain(text))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ConfigurationError(f'The hyperparameter {name} is "{plain(text)}"; give a number of 0 or more.')
    return value


def part_or_auto(name: str, text: str) -> float | None:
    """A part of a whole that is less than it; None for `auto`.

    Raises:
        ConfigurationError: If it is neither.
    """
    if plain(text) == "auto":
        return None
    part = fraction(name, text)
    if part >= 1:
        raise ConfigurationError(f'The hyperparameter {name} is "{plain(text)}"; give auto or a part below 1.')
    return part


def switch(name: str, text: str) -> bool:
    """True or false.

    Raises:
        ConfigurationError: If it is neither.
    """
    value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(plain(text).lower())
    if value is None:
        raise ConfigurationError(f'The hyperparameter {name} is "{plain(text)}"; give true or false.')
    return value


READERS: Mapping[type, Callable[[str, str], Any]] = {
    int: whole_number,
    float: fraction,
    bool: switch,
    str: lambda _, text: text,
    type(None): part_or_auto,
}
