# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in the training image. A message names the thing, the place and the way out."""

from containers.contract.errors import BadInputError, ConfigurationError, DataError, MapgateError

__all__ = ["BadInputError", "ConfigurationError", "DataError", "MapgateError", "TextFormatError", "TrainingError"]


class TextFormatError(ConfigurationError):
    """A text protobuf breaks the grammar."""


class TrainingError(MapgateError):
    """Training cannot go on, for instance because the loss is no longer finite."""
