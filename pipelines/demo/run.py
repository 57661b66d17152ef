# SPDX-License-Identifier: Apache-2.0
"""The whole story on one machine: images in, an approved model answering on its endpoint.

Every stage finds what an earlier run left and goes on from there, so a story that was cut off anywhere is told to its
end by telling it again.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from localcloud import cloud
from localcloud.home import Home
from localcloud.processes import cpu_seconds
from pipelines.client import executions, images
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.execution_parameters import parameters_for
from pipelines.client.executions import Execution
from pipelines.demo import cdk
from pipelines.demo.pretrained import PretrainedDetector
from pipelines.demo.production import approve, detect
from pipelines.demo.scenes import draw_scenes
from pipelines.demo.telling import Telling
from pipelines.display.progress import follow, log_of
from pipelines.display.transfers import transfer
from pipelines.errors import WorkFailedError

ARCHITECTURE = "ssd_mobilenet_v2_fpnlite_160x160"
# The small detector's config says for how long it is fine-tuned, which is what 0 takes; drawn weights need longer.
FINE_TUNING_STEPS = 0
STEPS_FROM_SCRATCH = 1000


def tell(
    home: Path,
    *,
    data: Path | None,
    training: Mapping[str, object],
    pretrained: PretrainedDetector,
    port: int | None,
    console: Console,
) -> None:
    """Tell the story.

    Args:
        home: Where the laptop's cloud keeps its state; the demo's own files lie in `demo` below it.
        data: A folder of labelled images; None draws the demo's own scenes.
        training: The pipeline's parameters of the training; None leaves one at its default.
        pretrained: What training starts from, where this machine can fetch it.

    Raises:
        WorkFailedError: A stage failed. A gate that does not pass is a failure too, but with data of one's own it is a
            valid end of the story, and no error.
    """
    folder = home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    telling = Telling(folder, console)
    with telling.stage("cloud", "The emulated cloud"):
        connection = _start_cloud(home, port, telling)
    with telling.stage("deploy", "cdk bootstrap, cdk deploy --all"):
        deployment = _deploy(connection, telling)
    with telling.stage("images", "mapgate images push"):
        training = _push(connection, deployment, home, training, pretrained, telling)
    with telling.stage("data", "The data set"):
        source = data or _scenes(folder / "scenes", console)
        parameters = _upload(connection, deployment, source, training, telling)
    with telling.stage("pipeline", "The pipeline"):
        execution = _execute(connection, deployment, parameters, telling)
    telling.summary.training_cpu_seconds = _training_cpu_seconds(home, execution)
    evaluation = _tell_evaluation(connection, deployment, execution, telling)
    if execution.status != "Succeeded":
        _end_without_model(execution, evaluation, own_data=data is not None, telling=telling)
        return
    with telling.stage("approval", "The approval"):
        approve(connection, deployment, telling)
    with telling.stage("detections", "The endpoint's detections on images that the model has not seen"):
        detect(connection, deployment, execution, pretrained, telling)
    telling.end()


def _start_cloud(home: Path, port: int | None, telling: Telling) -> Connection:
    running = cloud.up(home, port)
    telling.say(f"answers at {running.endpoint_url}; its state lies in {home}")
    return Connection(endpoint_url=running.endpoint_url)


def _deploy(connection: Connection, telling: Telling) -> Deployment:
    with telling.console.status("  synthesising the app") as status:
        log = telling.folder / "cdk.log"
        cdk.deploy(connection, log, lambda line: status.update(f"  {line[:100]}") if line else None)
    stacks = connection.client("cloudformation").describe_stacks()["Stacks"]
    for stack in sorted(stacks, key=lambda one: one["CreationTime"]):
        telling.say(f"{stack['StackName']}  {stack['StackStatus']}")
    return Deployment.find(connection)


def _push(
    connection: Connection,
    deployment: Deployment,
    home: Path,
    training: Mapping[str, object],
    pretrained: PretrainedDetector,
    telling: Telling,
) -> dict[str, object]:
    """Push the images; the parameters of a training that starts from what its image holds."""
    for image, new in images.push_missing(
        connection, deployment, accelerator="cpu", home=home, pretrained=pretrained.checkpoint
    ):
        telling.say(f"{'pushed' if new else 'was there'}  {image.uri}")
    training_image, _ = images.images_of(deployment)
    steps = FINE_TUNING_STEPS if images.holds_pretrained(training_image, home) else STEPS_FROM_SCRATCH
    if steps == STEPS_FROM_SCRATCH:
        telling.say("without the pre-trained detector: trained from scratch, for longer")
    return {**training, "TrainingSteps": training["TrainingSteps"] or steps}


def _scenes(folder: Path, console: Console) -> Path:
    """The demo's own data set; drawn beside and then renamed, so that a folder of that name is whole."""
    if not folder.exists():
        with console.status("  drawing urban scenes"):
            beside = folder.with_name(f".{folder.name}")
            shutil.rmtree(beside, ignore_errors=True)
            draw_scenes(beside)
            beside.rename(folder)
    return folder


def _upload(
    connection: Connection,
    deployment: Deployment,
    source: Path,
    training: Mapping[str, object],
    telling: Telling,
) -> dict[str, str]:
    values = {"Architecture": ARCHITECTURE, **training}
    with transfer(telling.console, f"uploading {source.name}") as progress:
        parameters = parameters_for(connection, deployment.data_bucket, str(source), {}, values, progress=progress)
    telling.say(f"{source} is at {parameters['DatasetUri']}")
    return parameters


def _execute(connection: Connection, deployment: Deployment, parameters: dict[str, str], telling: Telling) -> Execution:
    """Start an execution, or go on watching the one that an earlier telling started."""
    fingerprint = hashlib.sha256(json.dumps([parameters, deployment.training_image]).encode()).hexdigest()[:12]
    name = f"demo-{fingerprint}"
    for summary in executions.recent(connection, deployment.pipeline_name):
        if summary.get("PipelineExecutionDisplayName") == name and summary["PipelineExecutionStatus"] == "Executing":
            arn = summary["PipelineExecutionArn"]
            telling.say(f"{arn} is still running")
            break
    else:
        arn = executions.start(connection, deployment.pipeline_name, parameters, name=name)
        telling.say(f"started {arn}")
    return follow(connection, arn, telling.console)


def _training_cpu_seconds(home: Path, execution: Execution) -> float | None:
    """What TrainDetector's processes took; None where an earlier execution's model was taken."""
    step = execution.step("TrainDetector")
    if step is None or step.cached or step.job is None:
        return None
    _, job = step.job
    return round(cpu_seconds(Home(home).jobs / job), 1)


def _tell_evaluation(
    connection: Connection, deployment: Deployment, execution: Execution, telling: Telling
) -> dict[str, Any] | None:
    """Print what EvaluateDetector printed, and keep its report; None where the execution did not come so far."""
    telling.summary.execution_arn = execution.arn
    step = execution.step("EvaluateDetector")
    if step is None or step.status != "Succeeded":
        return None
    telling.console.rule(Text("The evaluation", "bold"), align="left")
    for line in log_of(connection, step):
        telling.say(line.rstrip())
    prefix = f"executions/{execution.identifier}/evaluation/"
    s3 = connection.client("s3")
    report = telling.folder / "report.html"
    s3.download_file(deployment.data_bucket, f"{prefix}report.html", str(report))
    body = s3.get_object(Bucket=deployment.data_bucket, Key=f"{prefix}evaluation.json")["Body"].read()
    evaluation: dict[str, Any] = json.loads(body)
    metrics = evaluation["metrics"]
    telling.summary.mAP = metrics["mAP"]["value"]
    telling.summary.mAP_50 = metrics["mAP_50"]["value"] if isinstance(metrics["mAP_50"], dict) else metrics["mAP_50"]
    telling.summary.gate_passed = evaluation["gate"]["passed"]
    telling.summary.report = str(report)
    return evaluation


def _end_without_model(
    execution: Execution, evaluation: dict[str, Any] | None, *, own_data: bool, telling: Telling
) -> None:
    telling.end()
    if evaluation is None or evaluation["gate"]["passed"]:
        for step in execution.steps:
            if step.status == "Failed":
                raise WorkFailedError(f"{step.name} failed: {step.failure_reason}")
        raise WorkFailedError(f"execution {execution.identifier} {execution.status}: {execution.failure_reason or ''}")
    sentence = evaluation["gate"]["sentence"]
    if not own_data:
        raise WorkFailedError(f"the gate let nothing through: {sentence}")
    telling.console.print(
        "\n  The gate let nothing through, and that is a valid end: nothing was registered.\n  "
        f"{sentence}\n  Train longer (--training-steps), or look at the report.",
    )
