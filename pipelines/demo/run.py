# SPDX-License-Identifier: Apache-2.0
"""The whole story on one machine: images in, an approved model answering on its endpoint.

Every stage finds what an earlier run left and goes on from there, so a story that was cut off anywhere is told to its
end by telling it again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console
from rich.table import Table

from localcloud import cloud
from pipelines.client import executions, images, invocation, registry
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.execution_parameters import parameters_for
from pipelines.client.executions import Execution
from pipelines.demo import cdk
from pipelines.demo.scenes import draw_scenes
from pipelines.display import pictures
from pipelines.display.progress import follow, log_of
from pipelines.errors import WorkFailedError

ARCHITECTURE = "ssd_mobilenet_v2_fpnlite_160x160"
LEAST_SCORE = 0.4
DEPLOYMENT_SECONDS = 180


@dataclass
class Summary:
    """What `.mapgate/demo/summary.json` holds; what the story did not reach is null."""

    mAP: float | None = None  # noqa: N815 - COCO's spelling
    mAP_50: float | None = None  # noqa: N815
    gate_passed: bool = False
    model_package_arn: str | None = None
    endpoint_name: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    animation: str | None = None
    contact_sheet: str | None = None
    report: str | None = None
    execution_arn: str | None = None

    def write(self, path: Path) -> None:
        """Write the summary, beside first and then renamed."""
        beside = path.with_name(f".{path.name}")
        beside.write_text(json.dumps(asdict(self), indent=2) + "\n")
        beside.replace(path)


def tell(home: Path, *, data: Path | None, training_steps: int | None, port: int | None, console: Console) -> None:
    """Tell the story.

    Args:
        home: Where the laptop's cloud keeps its state; the demo's own files lie in `demo` below it.
        data: A folder of labelled images; None draws the demo's own scenes.
        training_steps: Instead of the pipeline.config's num_steps.

    Raises:
        WorkFailedError: A stage failed. A gate that does not pass is a failure too, but with data of one's own it is a
            valid end of the story, and no error.
    """
    folder = home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").unlink(missing_ok=True)
    story = _Story(folder, console)
    with story.stage("cloud", "The emulated cloud"):
        connection = _start_cloud(home, port, console)
    with story.stage("deploy", "cdk bootstrap, cdk deploy --all"):
        deployment = _deploy(connection, folder, console)
    with story.stage("images", "mapgate images push"):
        _push_images(connection, deployment, home, console)
    with story.stage("data", "The data set"):
        parameters = _upload(connection, deployment, data, training_steps, folder, console)
    with story.stage("pipeline", "The pipeline"):
        execution = _execute(connection, deployment, parameters, console)
    evaluation = _tell_evaluation(connection, deployment, execution, story)
    if execution.status != "Succeeded":
        _end_without_model(execution, evaluation, own_data=data is not None, story=story)
        return
    with story.stage("approval", "The approval"):
        _approve(connection, deployment, story)
    with story.stage("detections", "The endpoint's detections on images that the model has not seen"):
        _detect(connection, deployment, execution, story)
    story.end()


class _Story:
    """The console, the summary and the clock of one telling."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder = folder
        self.console = console
        self.summary = Summary()

    @contextmanager
    def stage(self, name: str, title: str) -> Iterator[None]:
        self.console.rule(f"[bold]{title}", align="left")
        began = time.monotonic()
        yield
        self.summary.seconds[name] = round(time.monotonic() - began, 1)

    def end(self) -> None:
        """Write the summary and show it."""
        path = self.folder / "summary.json"
        self.summary.write(path)
        self.console.rule("[bold]Summary", align="left")
        table = Table(show_header=False, box=None, padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in asdict(self.summary).items():
            if name == "seconds":
                told = ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in value.items())
                table.add_row(name, f"{told}, in all {sum(value.values()):.0f}")
            elif value is not None:
                table.add_row(name, _linked(value) if name in _FILES else str(value))
        table.add_row("summary", _linked(str(path)))
        self.console.print(table)
        self.console.print(
            "\n  The cloud goes on: `mapgate --local models list`, `mapgate --local invoke <image>`; "
            "`mapgate local down` stops it.",
            soft_wrap=True,
        )


_FILES = ("animation", "contact_sheet", "report")


def _start_cloud(home: Path, port: int | None, console: Console) -> Connection:
    running = cloud.up(home, port)
    console.print(f"  answers at {running.endpoint_url}; its state lies in {home}", soft_wrap=True)
    return Connection(endpoint_url=running.endpoint_url)


def _deploy(connection: Connection, folder: Path, console: Console) -> Deployment:
    with console.status("  synthesising the app") as status:
        cdk.deploy(connection, folder / "cdk.log", lambda line: status.update(f"  {line[:100]}") if line else None)
    stacks = connection.client("cloudformation").describe_stacks()["Stacks"]
    for stack in sorted(stacks, key=lambda one: one["CreationTime"]):
        console.print(f"  {stack['StackName']}  {stack['StackStatus']}")
    return Deployment.find(connection)


def _push_images(connection: Connection, deployment: Deployment, home: Path, console: Console) -> None:
    for image in images.images_of(deployment):
        there = images.is_pushed(connection, image)
        if not there:
            images.push(connection, image, accelerator="cpu", home=home)
        console.print(f"  {'was there' if there else 'pushed'}  {image.uri}", soft_wrap=True)


def _upload(
    connection: Connection,
    deployment: Deployment,
    data: Path | None,
    training_steps: int | None,
    folder: Path,
    console: Console,
) -> dict[str, str]:
    source = data or _scenes(folder / "scenes", console)
    values = {"Architecture": ARCHITECTURE, "TrainingSteps": training_steps}
    parameters = parameters_for(connection, deployment.data_bucket, str(source), {}, values, console=console)
    console.print(f"  {source} is at {parameters['DatasetUri']}", soft_wrap=True)
    return parameters


def _scenes(folder: Path, console: Console) -> Path:
    """The demo's own data set; drawn beside and then renamed, so that a folder of that name is whole."""
    if not folder.exists():
        with console.status("  drawing urban scenes"):
            beside = folder.with_name(f".{folder.name}")
            shutil.rmtree(beside, ignore_errors=True)
            draw_scenes(beside)
            beside.rename(folder)
    return folder


def _execute(connection: Connection, deployment: Deployment, parameters: dict[str, str], console: Console) -> Execution:
    """Start an execution, or go on watching the one that an earlier telling started."""
    fingerprint = hashlib.sha256(json.dumps([parameters, deployment.training_image]).encode()).hexdigest()[:12]
    name = f"demo-{fingerprint}"
    for summary in executions.recent(connection, deployment.pipeline_name):
        if summary.get("PipelineExecutionDisplayName") == name and summary["PipelineExecutionStatus"] == "Executing":
            arn = summary["PipelineExecutionArn"]
            console.print(f"  {arn} is still running", soft_wrap=True)
            break
    else:
        arn = executions.start(connection, deployment.pipeline_name, parameters, name=name)
        console.print(f"  started {arn}", soft_wrap=True)
    return follow(connection, arn, console)


def _tell_evaluation(
    connection: Connection, deployment: Deployment, execution: Execution, story: _Story
) -> dict[str, Any] | None:
    """Print what EvaluateDetector printed, and keep its report; None where the execution did not come so far."""
    story.summary.execution_arn = execution.arn
    step = execution.step("EvaluateDetector")
    if step is None or step.status != "Succeeded":
        return None
    story.console.rule("[bold]The evaluation", align="left")
    for line in log_of(connection, step):
        story.console.print(f"  {line.rstrip()}", markup=False, soft_wrap=True)
    prefix = f"executions/{execution.identifier}/evaluation/"
    s3 = connection.client("s3")
    report = story.folder / "report.html"
    s3.download_file(deployment.data_bucket, f"{prefix}report.html", str(report))
    body = s3.get_object(Bucket=deployment.data_bucket, Key=f"{prefix}evaluation.json")["Body"].read()
    evaluation: dict[str, Any] = json.loads(body)
    metrics = evaluation["metrics"]
    story.summary.mAP = metrics["mAP"]["value"]
    story.summary.mAP_50 = metrics["mAP_50"]["value"] if isinstance(metrics["mAP_50"], dict) else metrics["mAP_50"]
    story.summary.gate_passed = evaluation["gate"]["passed"]
    story.summary.report = str(report)
    return evaluation


def _end_without_model(
    execution: Execution, evaluation: dict[str, Any] | None, *, own_data: bool, story: _Story
) -> None:
    story.end()
    if evaluation is None or evaluation["gate"]["passed"]:
        for step in execution.steps:
            if step.status == "Failed":
                raise WorkFailedError(f"{step.name} failed: {step.failure_reason}")
        raise WorkFailedError(f"execution {execution.identifier} {execution.status}: {execution.failure_reason or ''}")
    sentence = evaluation["gate"]["sentence"]
    if not own_data:
        raise WorkFailedError(f"the gate let nothing through: {sentence}")
    story.console.print(
        "\n  The gate let nothing through, and that is a valid end: nothing was registered.\n  "
        f"{sentence}\n  Train longer (--training-steps), or look at the report.",
        markup=False,
        soft_wrap=True,
    )


def _approve(connection: Connection, deployment: Deployment, story: _Story) -> None:
    """Approve the newest version as an approver would, and wait until production serves it."""
    version = registry.version(connection, deployment.model_package_group, None)
    story.console.print(f"  version {version.number} is {version.approval}: {version.arn}", soft_wrap=True)
    registry.decide(connection, version.arn, "Approved", "The report was read: the gate passed.")
    story.summary.model_package_arn = version.arn
    with story.console.status("  Approved; the deployer brings up the endpoint"):
        _wait_for_endpoint(connection, deployment, version.number)
    story.summary.endpoint_name = deployment.endpoint_name
    story.console.print(f"  Approved; endpoint {deployment.endpoint_name} is InService with version {version.number}")


def _wait_for_endpoint(connection: Connection, deployment: Deployment, number: int) -> None:
    deadline = time.monotonic() + DEPLOYMENT_SECONDS
    told = "does not exist"
    while time.monotonic() < deadline:
        try:
            endpoint = connection.client("sagemaker").describe_endpoint(EndpointName=deployment.endpoint_name)
        except ClientError:
            time.sleep(0.5)
            continue
        told = f"is {endpoint['EndpointStatus']} with {endpoint.get('EndpointConfigName')}"
        if endpoint["EndpointStatus"] == "InService" and endpoint["EndpointConfigName"].endswith(f"-v{number}"):
            return
        time.sleep(0.5)
    raise WorkFailedError(
        f"endpoint {deployment.endpoint_name} {told} after {DEPLOYMENT_SECONDS} s, and version {number} should serve: "
        f"the deployer's log group /aws/lambda/{connection.deployment_name}-deployer says why"
    )


def _detect(connection: Connection, deployment: Deployment, execution: Execution, story: _Story) -> None:
    """Send test images to the endpoint and draw what it answers."""
    samples = _samples(connection, deployment, execution, story.folder / "samples")
    answers = []
    for sample in samples:
        body = sample.read_bytes()
        found = invocation.detect(connection, deployment.endpoint_name, body, least_score=LEAST_SCORE)
        answers.append((pictures.decode(body, sample.name), found))
    labels = sorted({detection.label for _, found in answers for detection in found})
    drawn = [pictures.draw(picture, found, labels) for picture, found in answers]
    animation, sheet = story.folder / "detections.gif", story.folder / "contact_sheet.png"
    pictures.write_animation(animation, drawn)
    pictures.write(sheet, pictures.contact_sheet(drawn))
    story.summary.animation, story.summary.contact_sheet = str(animation), str(sheet)
    count = sum(len(found) for _, found in answers)
    story.console.print(f"  {len(samples)} images, {count} detections with a score of at least {LEAST_SCORE}")


def _samples(connection: Connection, deployment: Deployment, execution: Execution, folder: Path) -> list[Path]:
    """Test images that EvaluateDetector left beside its report."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    s3 = connection.client("s3")
    prefix = f"executions/{execution.identifier}/evaluation/samples/"
    for item in s3.list_objects_v2(Bucket=deployment.data_bucket, Prefix=prefix).get("Contents", []):
        s3.download_file(deployment.data_bucket, item["Key"], str(folder / Path(item["Key"]).name))
    samples = sorted(folder.iterdir())
    if not samples:
        raise WorkFailedError(f"s3://{deployment.data_bucket}/{prefix} holds no test image to send to the endpoint")
    return samples


def _linked(path: str) -> str:
    return f"[link=file://{path}]{path}[/link]"
