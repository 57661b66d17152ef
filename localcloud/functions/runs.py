# SPDX-License-Identifier: Apache-2.0
"""One run of a Lambda function: its real code in a process that sees nothing but it, its layers and boto3."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from localcloud.functions import bootstrap
from localcloud.home import Home

INITIALISATION_SECONDS = 10.0
"""Lambda grants this to a cold start, beside the function's time-out."""
MEMORY_SLACK = 4


@dataclass(frozen=True)
class FunctionCode:
    """What is needed to run a function once.

    Attributes:
        name: Its name.
        arn: Its ARN, as the context shows it.
        runtime: "python3.13".
        handler: "index.handler".
        archive: The zip archive with its code.
        layers: Archives that lie under /opt on Lambda.
        environment: Its own variables.
        seconds: Time-out.
        megabytes: Memory size.
        version: "$LATEST" or a number.
        log_group: Where its output goes.
        role: ARN of the role that it runs with.
    """

    name: str
    arn: str
    runtime: str
    handler: str
    archive: bytes
    layers: tuple[bytes, ...]
    environment: dict[str, str]
    seconds: int
    megabytes: int
    version: str
    log_group: str
    role: str = ""


@dataclass(frozen=True)
class RunResult:
    """What came of a run.

    Attributes:
        payload: JSON text: the handler's answer, or Lambda's error object.
        error: "" or "Unhandled", as the header X-Amz-Function-Error says it.
        log: Everything it printed, between START and REPORT.
        request_id: Of this run.
    """

    payload: str
    error: str
    log: str
    request_id: str


class UnsupportedRuntimeError(Exception):
    """The emulated cloud cannot run this function."""


def run(home: Home, function: FunctionCode, event: Any, platform: dict[str, str], request_id: str = "") -> RunResult:
    """Run the handler once, in a process of its own, until it answers or its time is up.

    Args:
        home: Where unpacked code lies.
        function: What to run.
        event: JSON value.
        platform: The variables that Lambda sets besides the function's own: region, keys, endpoint.
        request_id: Of the invocation; a new one if empty.

    Raises:
        UnsupportedRuntimeError: It is not a Python function.
    """
    if not function.runtime.startswith("python"):
        raise UnsupportedRuntimeError(
            f"{function.name} has the runtime {function.runtime}; the emulated cloud runs Python functions only"
        )
    request_id = request_id or str(uuid.uuid4())
    task = unpack(home, function.archive)
    layers = [unpack(home, layer) for layer in function.layers]
    with tempfile.TemporaryDirectory(prefix="function-") as scratch:
        result = Path(scratch) / "result.json"
        request = {
            "paths": [str(task), *(str(layer / "python") for layer in layers), str(_sdk_directory(home))],
            "handler": function.handler,
            "event": event,
            "timeout": function.seconds,
            "result": str(result),
            "context": {
                "function_name": function.name,
                "function_version": function.version,
                "invoked_function_arn": function.arn,
                "memory_limit_in_mb": str(function.megabytes),
                "aws_request_id": request_id,
                "log_group_name": function.log_group,
                "log_stream_name": log_stream(function.version, request_id),
            },
        }
        environment = {**platform, **_runtime_variables(function, task, scratch), **function.environment}
        started = time.monotonic()
        printed, timed_out, code = _run_process(request, environment, task, function)
        seconds = time.monotonic() - started
        recorded = json.loads(result.read_text()) if result.exists() else {}
    return _outcome(function, request_id, recorded, printed, seconds, timed_out, code)


def log_stream(version: str, request_id: str) -> str:
    """Name of the stream into which one run's lines go."""
    return f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{version}]{request_id.replace('-', '')}"


def unpack(home: Home, archive: bytes) -> Path:
    """The archive's directory, unpacked once for each content."""
    directory = home.functions / hashlib.sha256(archive).hexdigest()[:32]
    if directory.exists():
        return directory
    beside = Path(tempfile.mkdtemp(dir=home.functions, prefix=".unpacking-"))
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(beside)
    with contextlib.suppress(OSError):  # another run was quicker
        beside.rename(directory)
    return directory


def _run_process(
    request: dict[str, Any], environment: dict[str, str], task: Path, function: FunctionCode
) -> tuple[str, bool, int]:
    """Start the process, wait for it; returns what it printed, whether its time was up, and its exit code."""
    ready, ready_in_child = os.pipe()
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(Path(bootstrap.__file__)), str(ready_in_child)],
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=task,
            pass_fds=(ready_in_child,),
            start_new_session=True,
        )
        os.close(ready_in_child)
        assert process.stdin
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            _limit_memory(process.pid, function.megabytes)
            timed_out = not _ends_in_time(process, ready, function.seconds)
        except BrokenPipeError:
            timed_out = False
        finally:
            os.close(ready)
            _kill_group(process)
            process.wait()
            process.stdin.close()
        return _text(printed), timed_out, process.returncode


def _ends_in_time(process: subprocess.Popen[bytes], ready: int, seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(ready, selectors.EVENT_READ)
        selector.select(INITIALISATION_SECONDS)  # a line, or the end of a process that never came so far
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """What the handler started in the background does not outlive the run."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _limit_memory(pid: int, megabytes: int) -> None:
    """A hard limit well above the memory size; the exact one is judged by the peak that the process reports."""
    if sys.platform == "linux":
        import resource

        limit = max(512, megabytes * MEMORY_SLACK) * 1024**2
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (limit, limit))


def _outcome(
    function: FunctionCode,
    request_id: str,
    recorded: dict[str, Any],
    printed: str,
    seconds: float,
    timed_out: bool,
    code: int,
) -> RunResult:
    memory = recorded.get("memory", 0)
    problem = recorded.get("error")
    if timed_out:
        message = f"RequestId: {request_id} Error: Task timed out after {function.seconds:.2f} seconds"
        problem = {"errorType": "Sandbox.Timedout", "errorMessage": message}
        printed += f"{request_id} Task timed out after {function.seconds:.2f} seconds\n"
    elif memory > function.megabytes:
        message = (
            f"RequestId: {request_id} Error: Runtime exited with error: signal: killed "
            f"(used {memory} MB, memory size is {function.megabytes} MB)"
        )
        problem = {"errorType": "Runtime.OutOfMemory", "errorMessage": message}
        printed += message + "\n"
    elif not recorded:
        message = f"RequestId: {request_id} Error: Runtime exited with error: exit status {code}"
        problem = {"errorType": "Runtime.ExitError", "errorMessage": message}
    milliseconds = seconds * 1000
    log = (
        f"START RequestId: {request_id} Version: {function.version}\n"
        f"{printed if printed.endswith(chr(10)) or not printed else printed + chr(10)}"
        f"END RequestId: {request_id}\n"
        f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms\t"
        f"Billed Duration: {math.ceil(milliseconds)} ms\t"
        f"Memory Size: {function.megabytes} MB\tMax Memory Used: {memory} MB\n"
    )
    payload = json.dumps(problem) if problem else str(recorded["payload"])
    return RunResult(payload, "Unhandled" if problem else "", log, request_id)


def _runtime_variables(function: FunctionCode, task: Path, scratch: str) -> dict[str, str]:
    return {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.megabytes),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "HOME": scratch,
        "LAMBDA_TASK_ROOT": str(task),
        "LANG": "en_US.UTF-8",
        "PATH": os.defpath,
        "PYTHONHASHSEED": "random",
        "TMPDIR": scratch,
        "TZ": ":UTC",
        "_HANDLER": function.handler,
    }


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


@lru_cache(maxsize=4)
def _sdk_directory(home: Home) -> Path:
    """A directory with boto3 and what boto3 needs, and no other package of this environment."""
    directory = home.functions / f"boto3-{metadata.version('boto3')}"
    directory.mkdir(exist_ok=True)
    for name in _closure("boto3"):
        for file in metadata.files(name) or []:
            top = file.parts[0]
            if top == ".." or top.endswith(".pth") or top == "__pycache__":
                continue
            link = directory / top
            source = Path(str(metadata.distribution(name).locate_file(top)))
            if not link.exists():
                link.unlink(missing_ok=True)
                link.symlink_to(source)
    return directory


def _closure(name: str) -> set[str]:
    found: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current in found:
            continue
        found.add(current)
        for requirement in metadata.requires(current) or []:
            named = re.match(r"[A-Za-z0-9._-]+", requirement)
            if named and "extra ==" not in requirement:
                pending.append(named.group())
    return found
