# SPDX-License-Identifier: Apache-2.0
"""A processing job on several instances: what each is told and given, and a data set that three of them prepare."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from containers.contract.tfrecord import read_records
from infra.settings import Processing, Settings
from infra.training.binding import Resources, bind
from localcloud.objects import download, upload_directory
from pipelines.demo.scenes import draw_scenes

REPOSITORY = Path(__file__).resolve().parents[3]
DEFINITION = REPOSITORY / "pipelines/definition.json"
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


def test_pipeline_on_three_instances_prepares_what_it_prepares_on_one(cloud: Any, until: Until, tmp_path: Path) -> None:
    s3 = cloud.client("s3")
    drawn = tmp_path / "drawn"
    draw_scenes(drawn, train=12, validation=6, test=6, size=(96, 72))
    upload_directory(s3, drawn, "s3://bucket/drawn/all")
    shutil.copytree(drawn, tmp_path / "labels", ignore=shutil.ignore_patterns("*.jpg"))
    upload_directory(s3, tmp_path / "labels", "s3://bucket/drawn/labels")
    upload_directory(s3, drawn / "JPEGImages", "s3://bucket/drawn/images/JPEGImages")
    whole = {"DatasetUri": "s3://bucket/drawn/all/"}
    dealt = {"DatasetUri": "s3://bucket/drawn/images/", "AnnotationsUri": "s3://bucket/drawn/labels/"}

    s3.put_object(Bucket="bucket", Key="defaults/none/none", Body=b"none")
    resources = _resources(cloud)

    one = _prepare(cloud, until, _bound(resources, 1), whole, tmp_path / "one")
    three = _prepare(cloud, until, _bound(resources, 3), dealt, tmp_path / "three")

    for split in SPLITS:
        alone, together = (
            sorted(data for file in (made / split).glob("*.tfrecord") for _, data in read_records(file))
            for made in (one, three)
        )
        assert alone == together
        assert alone
    assert {file.name.rsplit("-", 3)[0] for file in (three / "train").iterdir()} == {
        "train-algo-1",
        "train-algo-2",
        "train-algo-3",
    }
    described = [json.loads((made / "metadata/dataset.json").read_text()) for made in (one, three)]
    assert described[0].keys() == described[1].keys()
    assert {key for key, value in described[0].items() if value != described[1][key]} <= {"notices"}
    assert sorted(file.name for file in (three / "metadata").iterdir()) == [
        "dataset.json",
        "label_map.pbtxt",
        "report.html",
    ]
    assert not (three / "parts/dataset.json").exists()


def _bound(resources: Resources, instances: int) -> dict[str, Any]:
    """The definition's steps that prepare."""
    settings = Settings(environment="dev", processing=Processing(prepare_instance_count=instances))
    definition = bind(json.loads(DEFINITION.read_text()), settings, resources)
    steps = [step for step in definition["Steps"] if step["Name"] in ("PrepareDataset", "JoinDataset")]
    return {**definition, "Steps": steps}


def _prepare(cloud: Any, until: Until, definition: dict[str, Any], parameters: dict[str, str], made: Path) -> Path:
    """Run a pipeline; returns what it left under its execution's prefix."""
    s3, sagemaker, name = cloud.client("s3"), cloud.client("sagemaker"), f"prepares-{made.name}"
    sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=json.dumps(definition), RoleArn=cloud.role)
    arn = sagemaker.start_pipeline_execution(
        PipelineName=name, PipelineParameters=[{"Name": key, "Value": value} for key, value in parameters.items()]
    )["PipelineExecutionArn"]

    def look() -> dict[str, Any] | None:
        described = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return described if described["PipelineExecutionStatus"] != "Executing" else None

    assert until(look, 240)["PipelineExecutionStatus"] == "Succeeded", sagemaker.list_pipeline_execution_steps(
        PipelineExecutionArn=arn
    )["PipelineExecutionSteps"]
    download(s3, f"s3://bucket/executions/{arn.rpartition('/')[2]}/", made)
    return made


def _resources(cloud: Any) -> Resources:
    """What PrepareDataset needs is there; of the rest only the name."""
    names = dict.fromkeys(Resources.__dataclass_fields__, "elsewhere")
    cloud.client("ecr").create_repository(repositoryName="prepares")
    image = cloud.push("prepares", REPOSITORY, ["python", "-m", "training_src"])
    key = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    role = cloud.role
    return Resources(**{**names, "data_bucket": "bucket", "training_image": image, "processing_role": role, "key": key})
