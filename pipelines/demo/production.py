# SPDX-License-Identifier: Apache-2.0
"""The end of the demo's story: a version is approved, its endpoint comes up and answers."""

import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from botocore.exceptions import ClientError

from pipelines.client import invocation, registry
from pipelines.client.connection import Connection
from pipelines.client.deployment import Deployment
from pipelines.client.executions import Execution
from pipelines.demo.pretrained import PretrainedDetector
from pipelines.demo.telling import Telling
from pipelines.display import pictures
from pipelines.display.pictures import Picture
from pipelines.errors import WorkFailedError

LEAST_SCORE = 0.4
# Images that are drawn as they were before training too, two pairs a row.
COMPARED = 8
DEPLOYMENT_SECONDS = 180


def approve(connection: Connection, deployment: Deployment, telling: Telling) -> None:
    """Approve the newest version as an approver would, and wait until production serves it."""
    version = registry.version(connection, deployment.model_package_group, None)
    telling.say(f"version {version.number} is {version.approval}: {version.arn}")
    registry.decide(connection, version.arn, "Approved", "The report was read: the gate passed.")
    telling.summary.model_package_arn = version.arn
    with telling.console.status("  Approved; the deployer brings up the endpoint"):
        _wait_for_endpoint(connection, deployment, version.number)
    telling.summary.endpoint_name = deployment.endpoint_name
    telling.say(f"Approved; endpoint {deployment.endpoint_name} is InService with version {version.number}")


def detect(
    connection: Connection,
    deployment: Deployment,
    execution: Execution,
    pretrained: PretrainedDetector,
    telling: Telling,
) -> None:
    """Send test images to the endpoint and draw what it answers, beside what was found before training."""
    samples = _samples(connection, deployment, execution, telling.folder / "samples")
    answers = []
    for sample in samples:
        body = sample.read_bytes()
        found = invocation.detect(connection, deployment.endpoint_name, body, least_score=LEAST_SCORE)
        answers.append((pictures.decode(body, sample.name), found))
    labels = sorted({detection.label for _, found in answers for detection in found})
    drawn = [pictures.draw(picture, found, labels) for picture, found in answers]
    animation, sheet = telling.folder / "detections.gif", telling.folder / "contact_sheet.png"
    pictures.write_animation(animation, drawn)
    pictures.write(sheet, pictures.contact_sheet(drawn))
    telling.summary.animation, telling.summary.contact_sheet = str(animation), str(sheet)
    count = sum(len(found) for _, found in answers)
    telling.say(f"{len(samples)} images, {count} detections with a score of at least {LEAST_SCORE}")
    if pretrained.checkpoint() is not None:
        _compare(samples[:COMPARED], drawn, pretrained, telling)


def _compare(
    samples: Sequence[Path], after: Sequence[Picture], pretrained: PretrainedDetector, telling: Telling
) -> None:
    """Draw what the pre-trained detector finds in the same images, the pictures of before and after side by side."""
    before = pretrained.detect(samples, LEAST_SCORE)
    labels = sorted({detection.label for found in before for detection in found})
    sides = []
    for sample, found, trained in zip(samples, before, after, strict=False):
        sides += [pictures.draw(pictures.decode(sample.read_bytes(), sample.name), found, labels), trained]
    path = telling.folder / "before_and_after.png"
    pictures.write(path, pictures.contact_sheet(sides))
    telling.summary.before_and_after = str(path)
    count = sum(len(found) for found in before)
    words = f", as {', '.join(labels)}" if labels else ""
    telling.say(f"before training the pre-trained detector found {count} things in the first {len(samples)}{words}")


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
        if endpoint["EndpointStatus"] == "InService" and version_of(endpoint["EndpointConfigName"]) == number:
            return
        time.sleep(0.5)
    raise WorkFailedError(
        f"endpoint {deployment.endpoint_name} {told} after {DEPLOYMENT_SECONDS} s, and version {number} should serve: "
        f"the deployer's log group /aws/lambda/{connection.deployment_name}-deployer says why"
    )


def version_of(configuration: str) -> int | None:
    """The version that the deployer's name of an endpoint configuration carries: 3 of `mapgate-dev-v3-1f9a0c`."""
    found = re.search(r"-v([0-9]+)(?:-[0-9a-f]{6})?$", configuration)
    return int(found[1]) if found else None


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
