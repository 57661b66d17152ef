# SPDX-License-Identifier: Apache-2.0
"""The pipeline's parameter TrainingSettings, a text such as `seed=18 early_stopping_patience=5`, before it is obeyed.

`hyperparameters.Settings` says what each setting means. Here stands how the text is written and what a value looks
like, for which the standard library is enough: the step CheckPlan carries this module into a Lambda function.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from training_src.errors import ConfigurationError

_WHOLE = re.compile(r"\+?\d+(\.0+)?|-0+(\.0+)?")
_BOOLEANS = frozenset(["true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0"])


@dataclass(frozen=True)
class Kind:
    """What a setting takes, in words, and whether a text is such a value."""

    takes: str
    holds: Callable[[str], bool]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _one_of(*choices: str) -> Kind:
    return Kind(f"one of {', '.join(choices)}", choices.__contains__)


COUNT = Kind("a whole number of 0 or more", lambda text: bool(_WHOLE.fullmatch(text)))
NUMBER = Kind("a number of 0 or more", lambda text: 0 <= _number(text) < math.inf)
BATCH = Kind(
    "auto or a whole number of 1 or more",
    lambda text: text == "auto" or (bool(_WHOLE.fullmatch(text)) and _number(text) >= 1),
)
PART = Kind("auto or a part below 1", lambda text: text == "auto" or 0 <= _number(text) < 1)
SWITCH = Kind("true or false", lambda text: text.lower() in _BOOLEANS)

KINDS: Mapping[str, Kind] = {
    "seed": COUNT,
    "batch_size": BATCH,
    "validation_interval": COUNT,
    "checkpoint_interval": COUNT,
    "early_stopping_patience": COUNT,
    "early_stopping_metric": _one_of("mAP", "loss"),
    "early_stopping_min_delta": NUMBER,
    "deterministic": SWITCH,
    "mixed_precision": _one_of("auto", "on", "off"),
    "xla": _one_of("auto", "loss", "step", "off"),
    "progressive_resizing": PART,
    "quantize": SWITCH,
}


def settings_in(text: str) -> dict[str, str]:
    """The settings of a text by name; their values are not looked at.

    Raises:
        ConfigurationError: A word is no `NAME=VALUE`, names no setting, or names one for the second time.
    """
    found: dict[str, str] = {}
    for name, value, fault in _words(text):
        if fault:
            raise ConfigurationError(fault)
        found[name] = value
    return found


def settings_faults(text: str) -> list[str]:
    """A sentence for everything that is wrong with a text, the values too."""
    faults = []
    for name, value, fault in _words(text):
        if fault:
            faults.append(fault)
        elif plain(value) and not KINDS[name].holds(plain(value)):
            faults.append(f'The hyperparameter {name} is "{plain(value)}"; give {KINDS[name].takes}.')
    return faults


def _words(text: str) -> Iterator[tuple[str, str, str]]:
    """Name, value and, where it is no setting, the fault of each word."""
    seen = set()
    for word in plain(text).split():
        name, _, value = word.partition("=")
        fault = ""
        if name not in KINDS or not value:
            fault = f'TrainingSettings holds "{word}"; give NAME=VALUE with one of {", ".join(sorted(KINDS))}.'
        elif name in seen:
            fault = f"The setting {name} is given twice; give it once."
        seen.add(name)
        yield name, value, fault


def plain(text: str) -> str:
    """A hyperparameter's value without the quotes that SageMaker's SDK puts around it."""
    text = text.strip()
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text)).strip()
    except ValueError:
        return text
