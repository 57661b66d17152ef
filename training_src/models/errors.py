# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a model's description or its checkpoint; each message is one sentence for the user."""

from training_src.errors import ConfigurationError


class ModelError(ConfigurationError):
    """Something that the user gave does not make a detector."""


class ConfigError(ModelError):
    """A `pipeline.config` names a field or a value that is not supported, or contradicts itself."""


class CheckpointError(ModelError):
    """A checkpoint is missing, damaged, or of another model."""
