# SPDX-License-Identifier: Apache-2.0
"""How a module of this package says what it refuses."""

from __future__ import annotations

from collections.abc import Callable

from localcloud.dispatch import Call
from localcloud.refusals import Refusal, Sentence

RECORDINGS = "https://github.com/localstack/localstack/tree/main/tests/aws/services/"

RECORDED: list[Refusal] = []
"""Every refusal of the package."""


def refuses(service: str, operations: str, code: str, recording: str) -> Callable[[Sentence], Sentence]:
    """Make a refusal of the function below, which gives the sentence, or an empty one where the call is not refused.

    Args:
        service: boto3's name of the service.
        operations: Those that it concerns, by spaces.
        code: Of the error.
        recording: The recorded tests below `RECORDINGS` in which AWS said so.
    """

    def register(sentence: Sentence) -> Sentence:
        RECORDED.append(Refusal(service, frozenset(operations.split()), RECORDINGS + recording, sentence, code))
        return sentence

    return register


def parameter(call: Call, name: str) -> str:
    """A parameter that is a string, empty where it is not given."""
    return str(call.parameters.get(name) or "")
