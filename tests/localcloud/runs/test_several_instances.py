# SPDX-License-Identifier: Apache-2.0
"""A processing job on several instances: what each is told and given, and a data set that three of them prepare."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from containers.contract.tfrecord import read_records
from localcloud.objects import download, upload_directory
from pipelines.demo.scenes import draw_scenes

REPOSITORY = Path(__file__).resolve().parents[3]
SPLITS = ("train", "validation", "test")
Until = Callable[..., Any]


def request(
    cloud: Any, name: str, image: str, arguments: list[str], inputs: dict[str, tuple[str, str]], instances: int
) -> dict[str, Any]:
    """Of `CreateProcessingJob`; inputs are URIs with their distributions, by name."""
    return {
        "ProcessingJobName": name,
        "AppSpecification": {"ImageUri": image, "ContainerArguments": arguments},
        "RoleArn": cloud.role,
        "ProcessingInputs": [
            {
                "InputName": channel,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": f"/opt/ml/processing/input/{channel}",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                    "S3DataDistributionType": distribution,
                },
            }
            for channel, (uri, distribution) in inputs.items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": output,
                    "S3Output": {
                        "S3Uri": f"s3://bucket/{name}/{output}",
                        "LocalPath": f"/opt/ml/processing/output/{output}",
                        "S3UploadMode": "Continuous" if output == "metadata" else "EndOfJob",
                    },
                }
                for output in (*SPLITS, "metadata")
            ]
        },
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": instances, "VolumeSizeInGB": 10}
        },
    }


def test_each_instance_is_told_who_it_is_and_gets_its_share(cloud: Any, until: Until, tmp_path: Path) -> None:
    program = tmp_path / "image"
    program.mkdir()
    (program / "tell.py").write_text(
        "import json, os, pathlib, sys\n"
        "root = pathlib.Path(os.environ['MAPGATE_ML_ROOT'])\n"
        "told = json.loads((root / 'config/resourceconfig.json').read_text())\n"
        "told['files'] = {name: sorted(file.name for file in (root / 'processing/input' / name).iterdir())\n"
        "                 for name in ('dealt', 'whole')}\n"
        "host = told['current_host']\n"
        "print(host, 'is here')\n"
        "(root / f'processing/output/train/{host}.json').write_text(json.dumps(told))\n"
        "if host == sys.argv[1]:\n"
        "    (root / 'output/message').write_text(f'{host} has had enough')\n"
        "    sys.exit(4)\n"
    )
    cloud.client("ecr").create_repository(repositoryName="tells")
    image = cloud.push("tells", program, ["python", "tell.py"])
    for number in range(5):
        cloud.client("s3").put_object(Bucket="bucket", Key=f"five/{number}.txt", Body=b"x")
    inputs = {"dealt": ("s3://bucket/five/", "ShardedByS3Key"), "whole": ("s3://bucket/five/", "FullyReplicated")}

    done = cloud.process(until, request(cloud, "told", image, ["nobody"], inputs, 2))
    failed = cloud.process(until, request(cloud, "told-too", image, ["algo-2"], inputs, 2))

    assert done["ProcessingJobStatus"] == "Completed"
    assert download(cloud.client("s3"), "s3://bucket/told/train/", tmp_path / "told") == 2
    found = [json.loads((tmp_path / f"told/algo-{number}.json").read_text()) for number in (1, 2)]
    whole = [f"{number}.txt" for number in range(5)]
    assert [told["files"] for told in found] == [
        {"dealt": ["0.txt", "2.txt", "4.txt"], "whole": whole},
        {"dealt": ["1.txt", "3.txt"], "whole": whole},
    ]
    assert [told["current_host"] for told in found] == ["algo-1", "algo-2"]
    assert all(told["hosts"] == ["algo-1", "algo-2"] for told in found)
    streams = cloud.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/ProcessingJobs", logStreamNamePrefix="told/"
    )["logStreams"]
    assert sorted(stream["logStreamName"].rpartition("-")[0] for stream in streams) == ["told/algo-1", "told/algo-2"]
    assert failed["ProcessingJobStatus"] == "Failed"
    assert failed["ExitMessage"] == "algo-2 has had enough"
    assert not cloud.client("s3").list_objects_v2(Bucket="bucket", Prefix="told-too/train/").get("Contents")


def test_three_instances_and_a_join_prepare_what_one_instance_prepares(
    cloud: Any, until: Until, tmp_path: Path
) -> None:
    cloud.client("ecr").create_repository(repositoryName="training")
    image = cloud.push("training", REPOSITORY, ["python", "-m", "training_src"])
    s3 = cloud.client("s3")
    drawn = tmp_path / "drawn"
    draw_scenes(drawn, train=12, validation=6, test=6, size=(96, 72))
    upload_directory(s3, drawn, "s3://bucket/drawn/all")
    shutil.copytree(drawn, tmp_path / "labels", ignore=shutil.ignore_patterns("*.jpg"))
    upload_directory(s3, tmp_path / "labels", "s3://bucket/drawn/labels")
    upload_directory(s3, drawn / "JPEGImages", "s3://bucket/drawn/images/JPEGImages")
    whole = {"dataset": ("s3://bucket/drawn/all/", "FullyReplicated")}
    parts = {
        "dataset": ("s3://bucket/drawn/images/", "ShardedByS3Key"),
        "annotations": ("s3://bucket/drawn/labels/", "FullyReplicated"),
    }
    metadata = {"metadata": ("s3://bucket/three/metadata/", "FullyReplicated")}

    for wanted in (
        request(cloud, "one", image, ["prepare"], whole, 1),
        request(cloud, "three", image, ["prepare"], parts, 3),
        request(cloud, "joined", image, ["join"], metadata, 1),
    ):
        done = cloud.process(until, wanted, 120)
        assert done["ProcessingJobStatus"] == "Completed", done

    for name in ("one", "three", "joined"):
        download(s3, f"s3://bucket/{name}/", tmp_path / name)
    for split in SPLITS:
        one, three = (
            sorted(data for file in (tmp_path / name / split).glob("*.tfrecord") for _, data in read_records(file))
            for name in ("one", "three")
        )
        assert one == three
        assert one
    described = [json.loads((tmp_path / name / "metadata/dataset.json").read_text()) for name in ("one", "joined")]
    assert described[0]["sha256"] == described[1]["sha256"]
    assert not (tmp_path / "three/metadata/dataset.json").exists()
