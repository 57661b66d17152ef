# SPDX-License-Identifier: Apache-2.0
"""What the deployer tells: one log line an event, and a message to people for each thing that happened to a version."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

    from .approval import Notice

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


def publish(sns: SNSClient, topic_arn: str, prefix: str, version: int, notice: Notice) -> None:
    """Send people a notice: what happened, and what to do or to look at next.

    SNS takes printable ASCII up to 100 characters as a subject. Kind and version go along as attributes, by which a
    subscription can choose what it wants to hear.
    https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
    https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
    """
    plain = f"{prefix}: {notice.subject}".encode("ascii", "replace").decode()[:_SUBJECT_CHARACTERS]
    said = {"kind": notice.kind, "version": str(version)}
    sns.publish(
        TopicArn=topic_arn,
        Subject=plain,
        Message=f"{notice.sentence}\n\nNext: {notice.command}",
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in said.items()},
    )
