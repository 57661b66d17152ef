# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in this image, each as one sentence that names the thing, the place and the way out."""


class InferenceError(Exception):
    """Whatever this image reports to its caller."""


class InputError(InferenceError):
    """What a job or a server was given cannot be used: its files, its environment, its command."""


class ModelError(InputError):
    """A model archive or directory is missing, damaged, hostile, or lacks what is asked of it."""


class RecordError(InputError):
    """A TFRecord shard or one of its examples is damaged."""


class MeasurementError(InferenceError):
    """A server could not be measured: it did not start, or did not answer as it should."""


class RequestError(InferenceError):
    """A request that the client has to mend.

    Attributes:
        status: The HTTP status, 4xx; or 503 where waiting is all that the client can do.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
