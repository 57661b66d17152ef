# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in the training image. A message names the thing, the place and the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from containers.contract.errors import BadInputError, ConfigurationError, DataError, MapgateError

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["BadInputError", "ConfigurationError", "DataError", "MapgateError", "TextFormatError", "TrainingError"]


class TextFormatError(ConfigurationError):
    """A text protobuf breaks the grammar."""


class TrainingError(MapgateError):
    """Training cannot go on, for instance because the loss is no longer finite."""


def first_fault(error: ValidationError) -> str:
    """Place and kind of the first thing that is wrong with a document, such as `metrics.mAP: Input should be ...`."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "[key]") or "the whole file"
    return f"{where}: {first['msg']}"
