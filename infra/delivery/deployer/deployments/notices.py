# SPDX-License-Identifier: Apache-2.0
"""What the deployer tells: one log line an event, and a message to people when something went wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_SUBJECT_CHARACTERS = 100


class EventLog:
    """What happened in the course of one event, as one JSON line."""

    def __init__(self, trigger: str) -> None:
        self._fields: dict[str, Any] = {"trigger": trigger}
        self._sentences: list[str] = []

    def tell(self, sentence: str) -> None:
        """Add a sentence."""
        if sentence not in self._sentences:
            self._sentences.append(sentence)

    def mark(self, **fields: Any) -> None:
        """Add fields to search the log by."""
        self._fields |= fields

    def end(self, error: BaseException | None = None) -> None:
        """Write the line."""
        line = {"level": "ERROR" if error else "INFO", **self._fields}
        line["message"] = "; ".join(self._sentences) or "nothing to do"
        if error:
            line["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(line, default=str), flush=True)


def publish(sns: SNSClient, topic_arn: str, subject: str, sentence: str) -> None:
    """Send people a message; SNS takes printable ASCII up to 100 characters as a subject."""
    plain = subject.encode("ascii", "replace").decode()[:_SUBJECT_CHARACTERS]
    sns.publish(TopicArn=topic_arn, Subject=plain, Message=sentence)
