# SPDX-License-Identifier: Apache-2.0
"""The clock of alarms: each is judged once a minute, and what endpoints measured is put into CloudWatch.

A minute of monitoring is as long as a minute of baking (`times.time_scale`), since alarms watch a bake.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.cloudwatch.models import MetricAggregatedDatum, cloudwatch_backends

from localcloud.alarms import notices
from localcloud.alarms.evaluation import COMPARISONS, Rule, judge, reason
from localcloud.alarms.samples import Metric, Samples, of_pairs
from localcloud.context import CloudContext
from localcloud.dispatch import Call, ServiceError, add_check, state_lock
from localcloud.moto_patches import metrics_through
from localcloud.times import time_scale

log = logging.getLogger(__name__)

MINUTE = 60.0

samples = Samples()
"""Of every metric of this cloud."""


def install(_: CloudContext) -> None:
    """Refuse alarms that nobody here would evaluate, see every sample that is put, and tell of what they find."""
    add_check("cloudwatch", _refuse)
    metrics_through(_take)
    notices.install()


def resume(_: CloudContext) -> None:
    """Start the clock."""
    threading.Thread(target=_keep_watching, name="alarms", daemon=True).start()


def watch() -> None:
    """Put what was measured into CloudWatch, and judge every alarm."""
    with state_lock:
        for metric, summary in samples.summaries().items():
            named = [{"Name": name, "Value": value} for name, value in sorted(metric.dimensions)]
            backend = cloudwatch_backends[metric.account][metric.region]
            backend.metric_data.append(
                MetricAggregatedDatum(
                    metric.namespace,
                    metric.name,
                    summary.least,
                    summary.most,
                    summary.count,
                    summary.total,
                    named,
                    None,
                )
            )
        for account, regions in list(cloudwatch_backends.items()):
            for region, backend in list(regions.items()):
                for alarm in list(backend.alarms.values()):
                    _judge(account, region, alarm)


def _keep_watching() -> None:
    while True:
        time.sleep(MINUTE * time_scale())
        try:
            watch()
        except Exception:  # the clock goes on, whatever one alarm looks like
            log.exception("alarms")


def _judge(account: str, region: str, alarm: Any) -> None:
    if not alarm.metric_name or alarm.comparison_operator not in COMPARISONS:
        return
    # A state that SetAlarmState gave lasts until the next evaluation (API_SetAlarmState.html): here a whole minute.
    age = datetime.now(UTC).replace(tzinfo=None) - alarm.state_updated_timestamp.replace(tzinfo=None)
    if age < timedelta(seconds=MINUTE * time_scale()):
        return
    periods = int(alarm.evaluation_periods)
    rule = Rule(
        statistic=alarm.statistic or alarm.extended_statistic,
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        periods=periods,
        breaches=int(alarm.datapoints_to_alarm or periods),
        missing=alarm.treat_missing_data or "missing",
        ignores_few=alarm.evaluate_low_sample_count_percentile == "ignore",
    )
    named = frozenset((each.name, each.value) for each in alarm.dimensions)
    metric = Metric(account, region, alarm.namespace, alarm.metric_name, named)
    seconds = float(alarm.period) * time_scale()
    found, begins = samples.periods(metric, seconds, periods), samples.begins(seconds, periods)
    state = judge(rule, found)
    if state not in (None, alarm.state_value):
        alarm.update_state(reason(rule, found, state, begins), "{}", state)


def _take(account: str, region: str, namespace: str, data: list[dict[str, Any]]) -> None:
    for datum in data:
        metric = Metric(account, region, namespace, datum["MetricName"], of_pairs(datum.get("Dimensions") or []))
        values = datum.get("Values") or [datum["Value"]] if "Value" in datum or "Values" in datum else []
        counts = datum.get("Counts") or [1] * len(values)
        for value, count in zip(values, counts, strict=False):
            for _ in range(int(float(count))):
                samples.add(metric, float(value))


def _refuse(action: str, call: Call) -> None:
    asked = call.parameters
    if action == "PutCompositeAlarm":
        raise _unknown("composite alarms")
    if action != "PutMetricAlarm":
        return
    if asked.get("Metrics"):
        raise _unknown("alarms on metric math")
    if asked.get("ComparisonOperator") not in COMPARISONS:
        raise _unknown("anomaly detection")
    named = [each for member in _ACTIONS for each in asked.get(member) or ()]
    others = [arn for arn in named if not arn.startswith("arn:aws:sns:")]
    if others:
        message = f"the emulated cloud does as actions of alarms only topics of SNS, not {others[0]}"
        raise ServiceError("NotImplemented", message, 501)


def _unknown(what: str) -> ServiceError:
    return ServiceError("NotImplemented", f"the emulated cloud does not evaluate {what}", 501)


_ACTIONS = ("OKActions", "AlarmActions", "InsufficientDataActions")
