# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with the numbers that an evaluation is given."""


class EvaluationError(ValueError):
    """Something given to the evaluation cannot be evaluated; the message says what and where."""


class PolicyError(EvaluationError):
    """A gate policy or a threshold cannot be understood."""
