# SPDX-License-Identifier: Apache-2.0
"""How a module of this package says what is refused, and where AWS says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localcloud.dispatch import Call, ServiceError

VALIDATION = "ValidationException"
RECORDINGS = "https://github.com/localstack/localstack/tree/main/tests/aws/services/"
Sentence = Callable[[Call], str]


@dataclass(frozen=True)
class Refusal:
    """One thing that is refused.

    Attributes:
        service: boto3's name of the service.
        actions: Those that it concerns.
        address: Where AWS says so.
        sentence: Why a call is refused; empty where it is not.
        code: Of the error.
    """

    service: str
    actions: frozenset[str]
    address: str
    sentence: Callable[[Call], str]
    code: str

    def check(self, action: str, call: Call) -> None:
        """Refuse the call by `ServiceError`, if it is to be refused."""
        if action in self.actions and (sentence := self.sentence(call)):
            raise ServiceError(self.code, sentence)


REFUSALS: list[Refusal] = []
"""Every refusal of the package."""


def documented(service: str, actions: str, page: str, code: str = VALIDATION) -> Callable[[Sentence], Sentence]:
    """Make a refusal of the function below, which gives the sentence, or an empty one where the call is not refused.

    Args:
        service: boto3's name of the service.
        actions: Those that it concerns, by spaces.
        page: That of AWS's documentation which says so, or an address.
        code: Of the error.
    """
    address = page if page.startswith("https://") else f"https://docs.aws.amazon.com/{page}.html"
    return _registered(service, actions, address, code)


def recorded(service: str, actions: str, code: str, tests: str) -> Callable[[Sentence], Sentence]:
    """The same of what AWS was recorded to answer.

    Args:
        service: boto3's name of the service.
        actions: Those that it concerns, by spaces.
        code: Of the error.
        tests: The recorded tests below `RECORDINGS`, which `tests/localcloud/conformance` makes again.
    """
    return _registered(service, actions, RECORDINGS + tests, code)


def parameter(call: Call, name: str) -> str:
    """A parameter that is a string, empty where it is not given."""
    return str(call.parameters.get(name) or "")


def _registered(service: str, actions: str, address: str, code: str) -> Callable[[Sentence], Sentence]:
    def register(sentence: Sentence) -> Sentence:
        REFUSALS.append(Refusal(service, frozenset(actions.split()), address, sentence, code))
        return sentence

    return register
