# SPDX-License-Identifier: Apache-2.0
"""The real server answers a batch on the laptop's cloud: what a transform job writes is what the server says."""

import io
import json
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from localcloud import cloud as local_cloud
from tests.localcloud.runs.conftest import Cloud

ROOT = Path(__file__).parents[2]
LEVELS = {"a.jpg": [200, 100, 50], "street/b.jpg": [10, 20, 30]}


@pytest.fixture
def cloud(tmp_path: Path, model_dir: Path) -> Iterator[Cloud]:
    """A cloud with a model of the real server's image, and pictures in S3."""
    home = tmp_path / ".mapgate"
    cloud = Cloud(home, local_cloud.up(home))
    cloud.create_role("job", {"Effect": "Allow", "Action": "*", "Resource": "*"})
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="model.tar.gz", Body=_archive(model_dir))
    for name, level in LEVELS.items():
        picture = simplejpeg.encode_jpeg(np.full((20, 30, 3), level, np.uint8), quality=100)
        s3.put_object(Bucket="bucket", Key=f"pictures/{name}", Body=bytes(picture))
    cloud.client("ecr").create_repository(repositoryName="inference")
    image = cloud.push("inference", ROOT, ["python", "-m", "inference_src"])
    container = {
        "Image": image,
        "ModelDataUrl": "s3://bucket/model.tar.gz",
        "Environment": {"MAPGATE_RUNTIME": "openvino", "PYTHONPATH": ":".join(filter(None, sys.path))},
    }
    cloud.client("sagemaker").create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=cloud.role)
    yield cloud
    local_cloud.down(home)


def _archive(model: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(model, ".")
    return packed.getvalue()


def _transform(cloud: Cloud, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a transform job over the pictures; give its description, and its outputs by key."""
    sagemaker, s3 = cloud.client("sagemaker"), cloud.client("s3")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/pictures/"}}
    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName="m",
        BatchStrategy="SingleRecord",
        TransformInput={"DataSource": source, "ContentType": "application/x-image", "SplitType": "None"},
        TransformOutput={"S3OutputPath": f"s3://bucket/{name}", "Accept": "application/json", "AssembleWith": "None"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    while (described := sagemaker.describe_transform_job(TransformJobName=name))["TransformJobStatus"] == "InProgress":
        time.sleep(0.1)
    listed = s3.list_objects_v2(Bucket="bucket", Prefix=f"{name}/").get("Contents", [])
    bodies = {item["Key"]: s3.get_object(Bucket="bucket", Key=item["Key"])["Body"].read() for item in listed}
    return described, {key: json.loads(body) for key, body in bodies.items()}


def test_a_batch_is_answered_by_the_real_server(cloud: Cloud) -> None:
    described, outputs = _transform(cloud, "batch")
    assert described["TransformJobStatus"] == "Completed", cloud.log_of("batch")
    assert sorted(outputs) == [f"batch/{name}.out" for name in LEVELS]
    for name, level in LEVELS.items():
        scores = outputs[f"batch/{name}.out"]["scores"]
        assert sorted(scores) == pytest.approx(sorted(np.array(level) / 255), abs=0.01)

    cloud.client("s3").put_object(Bucket="bucket", Key="pictures/none.jpg", Body=b"no picture")
    described, outputs = _transform(cloud, "again")
    assert described["FailureReason"] == "ClientError: See job logs for more information"
    assert sorted(outputs) == [f"again/{name}.out" for name in LEVELS]
