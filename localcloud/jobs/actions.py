# SPDX-License-Identifier: Apache-2.0
"""Training, processing and transform jobs, run for real: a job directory, a child process, S3 before and after.

A job's record lies in `.mapgate/jobs/<name>/job.json` in the shape that `Describe*Job` answers; what the container
wrote lies beside it in `log.txt` and `opt/ml`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from localcloud.context import CloudContext
from localcloud.dispatch import Call, ServiceError, invalid, replace_action
from localcloud.events.event_bridge import announce
from localcloud.home import Home, read_json, write_json
from localcloud.jobs import processing, training, transform
from localcloud.jobs.job import Job, JobKind
from localcloud.listing import listed
from localcloud.times import now

_KINDS: dict[str, JobKind] = {kind.name: kind for kind in (training.KIND, processing.KIND, transform.KIND)}
_jobs: dict[tuple[str, str, str, str], Job] = {}
_interrupted: list[Job] = []
_lock = threading.Lock()
_home: Home


def install(context: CloudContext) -> None:
    """Answer the actions of the jobs; read back the records of earlier ones."""
    global _home
    _home = Home(context.home)
    for name, kind in _KINDS.items():
        for verb, answer in _ANSWERS.items():
            action = f"{verb}{name}Job{'s' if verb == 'List' else ''}"
            replace_action("sagemaker", action, partial(answer, kind))
    for path in sorted(_home.jobs.glob("*/job.json")):
        record = json.loads(path.read_text())
        job = Job(_KINDS[record["kind"]], record, path.parent, _announce)
        _jobs[job.key] = job
        if not job.ended:
            _interrupted.append(job)


def resume(_: CloudContext) -> None:
    """A job that was running when the cloud went down has failed, as it does when its instance is lost."""
    while _interrupted:
        _interrupted.pop().interrupted()


def wait(kind: str, account: str, region: str, name: str, seconds: float | None = None) -> Mapping[str, Any] | None:
    """The description of a job that has ended, or None if it still runs after `seconds`.

    Args:
        kind: "Training", "Processing" or "Transform".
        account: 12-digit account id.
        region: Region name.
        name: The job's name.
        seconds: How long to wait; None for as long as it takes.
    """
    job = _jobs[kind, account, region, name]
    return job.description() if job.finished.wait(seconds) else None


def running(account: str, region: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Kind and description of each job that has not ended, and so holds instances."""
    with _lock:
        own = [job for key, job in _jobs.items() if key[1:3] == (account, region) and not job.ended]
    return [(job.kind.name, job.description()) for job in own]


def _create(kind: JobKind, call: Call) -> dict[str, Any]:
    name = call.parameters[f"{kind.name}JobName"]
    arn = call.arn(f"{kind.name.lower()}-job/{name}")
    kind.check(call)
    beside = kind.beside(call)
    created = now()
    record = {
        "kind": kind.name,
        "account": call.account,
        "region": call.region,
        "description": {
            **kind.defaults(call.parameters, created),
            **{name: value for name, value in call.parameters.items() if name != "Tags"},
            f"{kind.name}JobArn": arn,
            f"{kind.name}JobStatus": "InProgress",
            "CreationTime": created,
            "LastModifiedTime": created,
        },
        "tags": call.parameters.get("Tags", []),
        **beside,
    }
    with _lock:
        job = Job(kind, record, _directory(call, name), _announce)
        if job.key in _jobs or job.directory.exists():
            raise ServiceError(
                "ResourceInUse",
                f"{kind.name} job names must be unique within an AWS account and region, and a {kind.name.lower()} job "
                f"with this name already exists ({arn})",
            )
        _jobs[job.key] = job
        job.directory.mkdir(parents=True)
    job.save()
    threading.Thread(target=job.run, name=f"job {name}", daemon=True).start()
    return {f"{kind.name}JobArn": arn}


def _describe(kind: JobKind, call: Call) -> dict[str, Any]:
    return dict(_find(kind, call).description())


def _stop(kind: JobKind, call: Call) -> dict[str, Any]:
    job = _find(kind, call)
    if job.ended:
        raise invalid(f"The request was rejected because the {kind.name.lower()} job is in status {job.status}.")
    job.request_stop()
    return {}


def _list(kind: JobKind, call: Call) -> dict[str, Any]:
    with _lock:
        jobs = [job for key, job in _jobs.items() if key[:3] == (kind.name, call.account, call.region)]
    fields = (
        f"{kind.name}JobName", f"{kind.name}JobArn", "CreationTime", f"{kind.name}EndTime", "LastModifiedTime",
        f"{kind.name}JobStatus", "FailureReason", "ExitMessage",
    )  # fmt: skip
    dropped = {"Training": ("FailureReason", "ExitMessage"), "Transform": ("ExitMessage",)}.get(kind.name, ())
    summaries = [
        {field: described[field] for field in fields if field in described and field not in dropped}
        for described in (job.description() for job in jobs)
    ]
    return listed(
        call.parameters, summaries, f"{kind.name}JobSummaries", f"{kind.name}JobName", f"{kind.name}JobStatus"
    )


_ANSWERS: dict[str, Callable[[JobKind, Call], dict[str, Any]]] = {
    "Create": _create,
    "Describe": _describe,
    "Stop": _stop,
    "List": _list,
}


def _find(kind: JobKind, call: Call) -> Job:
    job = _jobs.get((kind.name, call.account, call.region, call.parameters[f"{kind.name}JobName"]))
    if job is None:
        raise ServiceError(
            "ValidationException" if kind.name == "Training" else "ResourceNotFound", "Requested resource not found."
        )
    return job


def _directory(call: Call, name: str) -> Path:
    """Another account's or region's job of the same name has a directory of its own."""
    plain = _home.jobs / name
    other = read_json(plain / "job.json") if plain.exists() else None
    if other and (other["account"], other["region"]) != (call.account, call.region):
        return _home.jobs / f"{name}@{call.account}-{call.region}"
    return plain


def _announce(job: Job) -> None:
    write_json(job.directory / "job.json", job.record)
    announce(job.account, job.region, f"{job.kind.name} Job State Change", job.event_detail(), [job.arn])
