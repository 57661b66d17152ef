# SPDX-License-Identifier: Apache-2.0
"""An evaluation's figures in the form in which SageMaker Studio draws a version's model quality.

Studio reads the file that ModelMetrics names at registration, and knows the forms that Model Monitor writes: metrics
under `regression_metrics`, `binary_classification_metrics` or `multiclass_classification_metrics`, each with `value`
and `standard_deviation`, which is the text "NaN" where nobody knows it.
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-metrics.html
A detector is none of the three; it tells classes apart, so its figures stand under the last. AWS's own reader of such
files takes these keys and passes over others (`sagemaker.model_card.evaluation_metric_parsers` of its Python SDK 2), so
that evaluation.json itself can carry them, and what the registry pins stays the file that was judged by.
"""

from collections.abc import Mapping
from typing import Protocol

Drawn = dict[str, float | str]


class Estimated(Protocol):
    """A number and how far it would move with other test images, either of them None where it is unknown."""

    @property
    def value(self) -> float | None:
        """The number."""

    @property
    def standard_deviation(self) -> float | None:
        """Of the number."""


def model_metrics(metrics: Mapping[str, Estimated], per_class: Mapping[str, Estimated]) -> dict[str, Drawn]:
    """Return the content of `multiclass_classification_metrics`; what is unknown is left out.

    Args:
        metrics: By COCO's names.
        per_class: AP by the class's name.
    """
    named = {**metrics, **{f"AP of {name}": one for name, one in per_class.items()}}
    return {name: _drawn(one.value, one.standard_deviation) for name, one in named.items() if one.value is not None}


def _drawn(value: float, deviation: float | None) -> Drawn:
    return {"value": value, "standard_deviation": "NaN" if deviation is None else deviation}
