# SPDX-License-Identifier: Apache-2.0
"""Everything that one event needs at hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .hosting import Hosting
from .notices import EventLog, publish
from .records import Records

if TYPE_CHECKING:
    from .approval import Notice
    from .clients import Clients
    from .settings import DeployerSettings

_NUDGE_SECONDS = 60


@dataclass(frozen=True)
class EventContext:
    """Settings, services and records, and the log line that is written at the end."""

    settings: DeployerSettings
    clients: Clients
    records: Records
    hosting: Hosting
    log: EventLog

    @classmethod
    def begin(cls, settings: DeployerSettings, clients: Clients, trigger: str) -> EventContext:
        """Put together what an event needs."""
        records = Records(clients.table(settings.table))
        return cls(
            settings, clients, records, Hosting(clients.sagemaker, clients.cloudwatch, settings), EventLog(trigger)
        )

    def notify(self, version: int, notice: Notice) -> None:
        """Tell people."""
        publish(self.clients.sns, self.settings.topic_arn, self.settings.prefix, version, notice)

    def ask_again(self, message: dict[str, object], *, seconds: int = _NUDGE_SECONDS) -> bool:
        """Send the deployer a message that arrives in a minute; False when the stack gave it no queue."""
        queue = self.settings.callback_queue_url
        if queue is None:
            return False
        self.clients.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(message), DelaySeconds=seconds)
        return True
