# SPDX-License-Identifier: Apache-2.0
"""Every patch of moto: where it does otherwise than AWS, and where it must let other modules do a part of its work.

Pinned to one version of moto: each patch has a test that fails as soon as moto itself behaves, and says what to
delete.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import logging
import threading
import time
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import moto
from moto import backends

from localcloud.dispatch import replace_action, state_lock
from localcloud.home import write_whole
from localcloud.s3_descriptions import ROW

log = logging.getLogger(__name__)

MOTO_VERSION = "5.2.5"


def install() -> None:
    """Apply every patch. To be called once, before the server starts.

    Raises:
        RuntimeError: Another moto than the one these patches were written for is installed.
    """
    if moto.__version__ != MOTO_VERSION:
        raise RuntimeError(
            f"moto {moto.__version__} is installed, but localcloud/moto_patches.py patches {MOTO_VERSION}: "
            "run `make setup`, or go through tests/localcloud/test_moto_patches.py with the new version"
        )
    _list_services_once()
    _let_bodies_be_binary()
    _know_managed_policies()
    _keep_all_of_functions()
    _leave_queues_to_their_pollers()
    _wait_for_messages_unlocked()
    _leave_bucket_policies_to_their_evaluator()
    _let_buckets_log()
    _encrypt_every_bucket()
    _know_images_by_their_manifest()
    _know_metrics_by_all_their_dimensions()
    _begin_alarms_without_data()
    _put_events_as_eventbridge()
    _let_topics_lose_what_queues_refuse()
    _leave_subscriptions_unconfirmed()
    _know_the_latest_version_by_its_name()
    _use_keys_to_encrypt()
    _know_keys_by_their_arn()
    _copy_objects_conditionally()
    replace_action("cloudtrail", "LookupEvents", lambda _: {"Events": []})  # the CDK CLI asks it why something failed


def _instead_of(owner: type) -> Callable[[Callable[..., Any]], None]:
    """Put the function below in the place of a class's method of that name; it is given moto's own one first."""

    def put(function: Callable[..., Any]) -> None:
        original = getattr(owner, function.__name__)

        @wraps(original)
        def method(self: Any, *arguments: Any, **named: Any) -> Any:
            return function(original, self, *arguments, **named)

        setattr(owner, function.__name__, method)

    return put


def send_events_through(deliver: Callable[[Any, Any], None]) -> None:
    """Let `deliver(rule, event)` do what moto's rules do, for the few targets that moto knows, under its lock."""
    from moto.events.models import Rule

    @_instead_of(Rule)
    def send_to_targets(original: Any, self: Rule, event: Any, transform_input: bool = True) -> None:
        if self.managed_by or not transform_input:  # an archive's own rule
            original(self, event, transform_input)
        else:
            deliver(self, event)


def invoke_functions_through(invoke: Callable[[str, str, str, Any], None]) -> None:
    """Let `invoke(account, region, function_arn, event)` run functions that moto's other services trigger."""
    from moto.awslambda.models import LambdaFunction

    def invoked(self: LambdaFunction, body: Any, _headers: Any, _response_headers: Any) -> str:
        invoke(self.account_id, self.region, self.function_arn, json.loads(body) if body else {})
        return ""

    LambdaFunction.invoke = invoked  # type: ignore[method-assign,assignment]


def mail_through(mail: Callable[[str, str, str, str | None], None]) -> None:
    """Let `mail(topic_arn, address, message, subject)` do what moto leaves undone for e-mail subscriptions."""
    from moto.sns.models import Subscription

    @_instead_of(Subscription)
    def publish(original: Any, self: Subscription, message: str, *more: Any, **named: Any) -> None:
        if self.protocol in ("email", "email-json", "sms"):
            mail(self.topic.arn, self.endpoint, message, named.get("subject"))
        else:
            original(self, message, *more, **named)


def log_requests_through(collect: Callable[[str, str, str, str, str, str], None]) -> None:
    """Let `collect(account, source, target, prefix, method, path)` take what moto would log at once: S3 takes hours."""
    from moto.s3.models import S3Backend

    def log_incoming_request(self: S3Backend, request: Any, bucket_name: str) -> None:
        bucket = self.buckets.get(bucket_name)
        target = bucket.logging.get("TargetBucket") if bucket and bucket.logging else None
        if bucket and target:
            prefix = bucket.logging.get("TargetPrefix") or ""
            collect(self.account_id, bucket_name, target, prefix, request.method, request.path)

    S3Backend.log_incoming_request = log_incoming_request  # type: ignore[method-assign]


def metrics_through(take: Callable[[str, str, str, list[dict[str, Any]]], None]) -> None:
    """Let `take(account, region, namespace, data)` see what PutMetricData is given, for alarms."""
    from moto.cloudwatch.models import CloudWatchBackend

    @_instead_of(CloudWatchBackend)
    def put_metric_data(original: Any, self: CloudWatchBackend, namespace: str, metric_data: list[Any]) -> None:
        original(self, namespace, metric_data)
        take(self.account_id, self.region_name, namespace, metric_data)


def alarm_changes_through(tell: Callable[[Any, str, str], None]) -> None:
    """Let `tell(alarm, old_state, old_reason)` hear of each alarm that has another state, under moto's lock."""
    from moto.cloudwatch.models import Alarm

    @_instead_of(Alarm)
    def update_state(original: Any, self: Alarm, *given: Any, **named: Any) -> None:
        state, reason = self.state_value, self.state_reason
        original(self, *given, **named)
        if self.state_value != state:
            tell(self, state, reason)


def keep_objects_in(directory: Path) -> None:
    """Keep the bytes of S3 objects in files named by their content, not in memory and not in snapshots.

    An object forgets its `ROW` (see `s3_descriptions`) when anything about it changes.
    """
    from moto.s3.models import FakeKey

    def path(digest: str) -> Path:
        return directory / digest[:2] / digest

    def read(self: Any) -> bytes:
        return path(self.content_digest).read_bytes()

    def write(self: Any, value: bytes | str) -> None:
        content = value.encode() if isinstance(value, str) else value
        self.content_digest = hashlib.sha256(content).hexdigest()
        self.content_md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        self.contentsize = len(content)
        file = path(self.content_digest)
        if not file.exists():
            file.parent.mkdir(mode=0o700, exist_ok=True)
            write_whole(file, content)

    def etag(self: Any) -> str:
        if self._etag is None:
            self._etag = self.content_md5
        return f'"{self._etag}"'

    def state(self: Any) -> dict[str, Any]:
        left_out = ("_value_buffer", "lock", ROW)
        return {key: value for key, value in self.__dict__.items() if key not in left_out}

    def change(self: Any, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name != ROW:
            self.__dict__.pop(ROW, None)

    @_instead_of(FakeKey)
    def set_metadata(original: Any, self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        self.__dict__.pop(ROW, None)

    def restore(self: Any, kept: dict[str, Any]) -> None:
        self.__dict__.update(kept)
        self._value_buffer = io.BytesIO()
        self.lock = threading.Lock()

    FakeKey.value = property(read, write)  # type: ignore[assignment,method-assign]
    FakeKey.etag = property(etag)  # type: ignore[assignment,method-assign]
    FakeKey.__setattr__ = change  # type: ignore[method-assign]
    FakeKey.__getstate__ = state  # type: ignore[method-assign]
    FakeKey.__setstate__ = restore  # type: ignore[method-assign,assignment]


def _list_services_once() -> None:
    """moto looks for each request, twice, which of the hundred entries of its own folder are folders."""
    services = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: services


def _let_bodies_be_binary() -> None:
    """moto decodes every body as UTF-8; an image sent to InvokeEndpoint is none."""
    from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

    SageMakerRuntimeResponse.use_raw_body = True
    SageMakerRuntimeResponse.automated_parameter_parsing = True


def _know_managed_policies() -> None:
    """moto knows AWS's own policies only when it loads all 1,400 at once; this loads the one that is asked for."""
    from moto.iam.models import AWSManagedPolicy, IAMBackend

    @lru_cache(maxsize=1)
    def documents() -> dict[str, Any]:
        from moto.iam.aws_managed_policies import aws_managed_policies_data

        parsed = json.loads(aws_managed_policies_data)
        return {f"arn:aws:iam::aws:policy{policy['Path']}{name}": (name, policy) for name, policy in parsed.items()}

    def learn(backend: IAMBackend, arn: str) -> None:
        if arn.startswith("arn:aws:iam::aws:policy/") and arn not in backend.managed_policies and arn in documents():
            name, policy = documents()[arn]
            known = AWSManagedPolicy.from_data(name, backend.account_id, backend.region_name, policy)
            backend.managed_policies[arn] = known

    @_instead_of(IAMBackend)
    def attach_role_policy(original: Any, self: IAMBackend, policy_arn: str, role_name: str) -> None:
        learn(self, policy_arn)
        original(self, policy_arn, role_name)

    @_instead_of(IAMBackend)
    def get_policy(original: Any, self: IAMBackend, policy_arn: str) -> Any:
        learn(self, policy_arn)
        return original(self, policy_arn)


def _keep_all_of_functions() -> None:
    """moto forgets some of a function's configuration; it is kept here and shown again."""
    from moto.awslambda.models import LambdaFunction

    names = ("DeadLetterConfig", "LoggingConfig")

    @_instead_of(LambdaFunction)
    def __init__(  # noqa: N807  # the class's own
        original: Any, self: Any, account_id: str, spec: dict[str, Any], *more: Any, **named: Any
    ) -> None:
        self.beyond_moto = {name: spec[name] for name in names if name in spec}
        original(self, account_id, spec, *more, **named)

    @_instead_of(LambdaFunction)
    def update_configuration(original: Any, self: Any, config_updates: dict[str, Any]) -> dict[str, Any]:
        self.beyond_moto = {**self.beyond_moto, **{n: config_updates[n] for n in names if n in config_updates}}
        return dict(original(self, config_updates))

    @_instead_of(LambdaFunction)
    def get_configuration(original: Any, self: Any, on_create: bool = False) -> dict[str, Any]:
        return {**original(self, on_create), **{name: value for name, value in self.beyond_moto.items() if value}}


def _leave_queues_to_their_pollers() -> None:
    """moto runs a mapped function inside SendMessage, once a message; `event_sources` polls instead."""
    from moto.awslambda.models import LambdaBackend
    from moto.sqs.models import sqs_backends

    @_instead_of(LambdaBackend)
    def create_event_source_mapping(original: Any, self: LambdaBackend, spec: dict[str, Any]) -> Any:
        mapping = original(self, spec)
        mapping.function_response_types = spec.get("FunctionResponseTypes") or []
        for queue in sqs_backends[self.account_id][self.region_name].queues.values():
            queue.lambda_event_source_mappings.clear()
        return mapping


def _wait_for_messages_unlocked() -> None:
    """moto waits for messages while it holds the queue; here nothing is held between two looks."""
    from moto.sqs.models import SQSBackend

    @_instead_of(SQSBackend)
    def receive_message(
        original: Any, self: SQSBackend, queue_name: str, count: int, seconds: int, *more: Any, **named: Any
    ) -> Any:
        end = time.monotonic() + (seconds or 0)
        while True:
            with state_lock:
                messages = original(self, queue_name, count, 0, *more, **named)
            if messages or time.monotonic() >= end:
                return messages
            time.sleep(0.05)


def _leave_bucket_policies_to_their_evaluator() -> None:
    """moto evaluates bucket policies without their conditions, and `authorisation` with them."""
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL  # type: ignore[method-assign]


def _let_buckets_log() -> None:
    """moto wants the target bucket's policy to be there first; S3 does not, and CDK creates it later."""
    from moto.s3.models import FakeBucket

    FakeBucket._log_permissions_enabled_policy = staticmethod(lambda *_, **__: True)  # type: ignore[method-assign]


def _encrypt_every_bucket() -> None:
    """A bucket that nobody gave an encryption has S3's own.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketEncryption.html
    """
    from moto.s3.models import S3Backend

    @_instead_of(S3Backend)
    def get_bucket_encryption(original: Callable[..., Any], self: S3Backend, bucket_name: str) -> dict[str, Any]:
        own = {"Rule": {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": "false"}}
        return original(self, bucket_name) or own


def _know_images_by_their_manifest() -> None:
    """An image's digest is that of its manifest; moto takes its layers', which images may share, or a random one."""
    from moto.ecr.models import Image

    def create_digest(self: Image) -> None:
        self._image_digest = f"sha256:{hashlib.sha256(self.image_manifest.encode()).hexdigest()}"

    Image._create_digest = create_digest  # type: ignore[method-assign]


def _know_metrics_by_all_their_dimensions() -> None:
    """Another set of dimensions is another metric; moto takes every metric that has the dimensions asked for, or more.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Dimension
    """
    from moto.cloudwatch.models import CloudWatchBackend

    @_instead_of(CloudWatchBackend)
    def get_metric_statistics(original: Any, self: CloudWatchBackend, *given: Any, **named: Any) -> Any:
        asked = {(each["Name"], each["Value"]) for each in named["dimensions"] or ()}
        exact = copy.copy(self)
        exact.get_all_metrics = lambda: [  # type: ignore[method-assign]
            datum for datum in self.get_all_metrics() if {(each.name, each.value) for each in datum.dimensions} == asked
        ]
        return original(exact, *given, **named)


def _begin_alarms_without_data() -> None:
    """A new alarm has INSUFFICIENT_DATA, and one that is put again keeps its state; moto's are OK both times.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """
    from moto.cloudwatch.models import Alarm, CloudWatchBackend

    @_instead_of(CloudWatchBackend)
    def put_metric_alarm(original: Any, self: CloudWatchBackend, name: str, *given: Any, **named: Any) -> Alarm:
        known = self.alarms.get(name)
        alarm: Alarm = original(self, name, *given, **named)
        alarm.state_value = known.state_value if known else "INSUFFICIENT_DATA"
        return alarm


def _put_events_as_eventbridge() -> None:
    """moto takes details that are no objects, and fails where a bus is unknown; EventBridge drops what goes there.

    Recorded in LocalStack's tests/aws/services/events/test_events.py.
    """
    from moto.events.models import EventsBackend

    def is_object(detail: str) -> bool:
        try:
            return isinstance(json.loads(detail), dict)
        except ValueError:
            return False

    @_instead_of(EventsBackend)
    def put_events(original: Any, self: EventsBackend, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        for event in events:
            bus = self._normalize_event_bus_arn(event.get("EventBusName"))
            if event.get("Detail") and not is_object(event["Detail"]):
                event = {**event, "Detail": "{"}
            if bus not in self.event_buses:
                event = {**event, "EventBusName": "default", "Source": event.get("Source") and _NOBODYS_SOURCE}
            told += original(self, [event])
        return told


_NOBODYS_SOURCE = "localcloud.dropped"
"""No rule asks for events of it, since no rule can know it."""


def _let_topics_lose_what_queues_refuse() -> None:
    """moto fails to publish where a queue is gone; SNS answers, and what cannot be delivered is lost.

    Recorded in LocalStack's tests/aws/services/sns/test_sns.py, as is that a topic's own deduplication reaches queues.
    """
    from moto.sns.models import Subscription
    from moto.sqs.exceptions import MissingParameter, QueueDoesNotExist
    from moto.sqs.models import Message

    @_instead_of(Subscription)
    def publish(original: Any, self: Subscription, message: str, *more: Any, **named: Any) -> None:
        if self.topic.content_based_deduplication and not named.get("deduplication_id"):
            named["deduplication_id"] = hashlib.sha256(message.encode()).hexdigest()
        try:
            original(self, message, *more, **named)
        except (MissingParameter, QueueDoesNotExist) as refused:
            log.warning("%s to %s: %s", self.topic.arn, self.endpoint, refused)

    def update_binary_length_and_value(md5: Any, value: bytes | str) -> None:
        content = base64.b64decode(value) if isinstance(value, str) else value
        md5.update(len(content).to_bytes(4, "big") + content)

    Message.update_binary_length_and_value = staticmethod(update_binary_length_and_value)  # type: ignore[method-assign]


def _leave_subscriptions_unconfirmed() -> None:
    """moto gives an ARN for a subscription that nobody has confirmed yet, where SNS says that it is pending.

    https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
    """
    from moto.core.responses import ActionResult
    from moto.sns.responses import SNSResponse

    @_instead_of(SNSResponse)
    def subscribe(original: Any, self: SNSResponse) -> Any:
        answer = original(self)
        asks = self._get_param("Protocol") in ("email", "email-json", "http", "https", "sms")
        if asks and not self._get_bool_param("ReturnSubscriptionArn"):
            return ActionResult({"SubscriptionArn": "pending confirmation"})
        return answer


def _know_the_latest_version_by_its_name() -> None:
    """moto does not find `function:$LATEST`, for the dollar in the address."""
    from moto.awslambda import urls

    urls.url_paths = {path.replace(r"[\w_:%-]+", r"[\w_:%\x24-]+"): answer for path, answer in urls.url_paths.items()}


def _use_keys_to_encrypt() -> None:
    """moto leaves out what a key is for unless it is told; KMS makes one that encrypts."""
    from moto.kms.models import KmsBackend

    @_instead_of(KmsBackend)
    def create_key(
        original: Any, self: KmsBackend, policy: str | None, key_usage: str | None, *more: Any, **named: Any
    ) -> Any:
        return original(self, policy, key_usage or "ENCRYPT_DECRYPT", *more, **named)


def _know_keys_by_their_arn() -> None:
    """moto finds a key by its id alone where it is disabled, enabled and deleted; KMS takes the ARN, too.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_DisableKey.html
    """
    from moto.kms.models import KmsBackend

    @_instead_of(KmsBackend)
    def disable_key(original: Any, self: KmsBackend, key_id: str) -> None:
        original(self, self.get_key_id(key_id))

    @_instead_of(KmsBackend)
    def enable_key(original: Any, self: KmsBackend, key_id: str) -> None:
        original(self, self.get_key_id(key_id))

    @_instead_of(KmsBackend)
    def schedule_key_deletion(original: Any, self: KmsBackend, key_id: str, *more: Any, **named: Any) -> Any:
        return original(self, self.get_key_id(key_id), *more, **named)


def _copy_objects_conditionally() -> None:
    """moto copies whatever a request says of the object to be copied, and of the one that is there already.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    from moto.s3.exceptions import PreconditionFailed
    from moto.s3.responses import S3Response

    def require_source(self: S3Response) -> None:
        wanted = self.headers.get("x-amz-copy-source-if-match")
        source, _, version = str(self.headers["x-amz-copy-source"]).partition("?versionId=")
        bucket, _, key = unquote(source).lstrip("/").partition("/")
        found = self.backend.get_object(bucket, key, version_id=version or None)
        if wanted and found is not None and _bare(wanted) != _bare(found.etag):
            raise PreconditionFailed("x-amz-copy-source-If-Match")

    @_instead_of(S3Response)
    def copy_object(original: Any, self: S3Response) -> Any:
        require_source(self)
        there = self.backend.get_object(self.bucket_name, self.parse_key_name())
        if self.headers.get("If-None-Match") and there is not None:
            raise PreconditionFailed("If-None-Match")
        wanted = self.headers.get("If-Match")
        if wanted and (there is None or _bare(wanted) != _bare(there.etag)):
            raise PreconditionFailed("If-Match")
        return original(self)

    @_instead_of(S3Response)
    def upload_part_copy(original: Any, self: S3Response) -> Any:
        require_source(self)
        return original(self)


def _bare(tag: str) -> str:
    """An entity tag without the quotes that clients may leave out."""
    return tag.strip('"')
