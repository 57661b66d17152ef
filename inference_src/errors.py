# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in this image, each as one sentence that names the thing, the place and the way out."""

from containers.contract.errors import BadInputError, MapgateError


class ModelError(BadInputError):
    """An extracted model is damaged, hostile, or lacks what is asked of it."""


class MeasurementError(MapgateError):
    """A server could not be measured: it did not start, or did not answer as it should."""


class TooLittleTimeError(BadInputError):
    """A job would be stopped before it has measured all that it was given."""


class RequestError(Exception):
    """A request that the client has to mend.

    Attributes:
        status: The HTTP status, 4xx; 429 where waiting is all that the client can do, which says nothing against the
            server (SageMaker's Invocation5XXErrors, on which updates roll back, would count a 503).
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
