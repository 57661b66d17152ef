# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with the numbers that an evaluation is given."""

from training_src.errors import BadInputError


class EvaluationError(BadInputError):
    """Something given to the evaluation cannot be evaluated; the message says what and where."""


class PolicyError(EvaluationError):
    """A gate policy or a threshold cannot be understood."""
