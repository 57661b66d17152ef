# SPDX-License-Identifier: Apache-2.0
"""The best version that ever served is measured besides the champion, whatever came of it since."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

VERSIONS = "arn:aws:sagemaker:us-east-1:123456789012:model-package/mapgate-dev"
ENDPOINT = {"EndpointName": "mapgate-dev"}


@pytest.fixture
def find(invoke: Any, table: Any, bucket: str, push: Any) -> Any:
    """Run FindChampion; returns what it says of the best version: its number or none, place, runtime and sentence."""
    environment = {"TABLE": table.name, "BUCKET": bucket, "WAIVER": f"/{bucket}/champion-waiver"}
    inputs = {"model_package_group": "mapgate-dev", "endpoint_name": "mapgate-dev", "inference_image": push()[0]}

    def found() -> tuple[str, str, str, str]:
        answer = invoke("training/find_champion", inputs, **environment).answer
        names = ("BestModelPackageArn", "BestModelUri", "BestRuntime", "Sentence")
        arn, uri, runtime, sentence = (answer[name] for name in names)
        return arn.rpartition("/")[2], uri.removeprefix(f"s3://{bucket}/"), runtime, sentence

    return found


@pytest.fixture
def record(cloud: Any, table: Any, bucket: str) -> Any:
    """Record a version as the deployer and PublishDossier do, and put its artifact where it was trained."""

    def put(version: int, mean_average_precision: str, test_set: str = "t", *, served: object = (1,)) -> None:
        key = f"models/{version}/model.tar.gz"
        cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=b"model")
        item = {**ENDPOINT, "Record": f"version#{version:06d}", "Version": version, "Standing": version != 2}
        table.put_item(Item=item | ({"ServedAt": list(served) if isinstance(served, tuple) else served}))
        verdict = {
            **ENDPOINT,
            "Record": f"verdict#{version:06d}",
            "Version": version,
            "ModelPackageArn": f"{VERSIONS}/{version}",
            "ModelUri": f"s3://{bucket}/{key}",
            "ModelSha256": f"{version:064x}",
            "Runtime": f"runtime{version}",
            "TestSet": test_set,
            "MeanAP": Decimal(mean_average_precision),
        }
        table.put_item(Item=verdict)

    return put


@pytest.fixture
def champion(cloud: Any, table: Any, bucket: str) -> int:
    """Production serves version 5."""
    uri = f"s3://{bucket}/models/5/model.tar.gz"
    cloud.client("s3").put_object(Bucket=bucket, Key="models/5/model.tar.gz", Body=b"model")
    serving = {"Version": 5, "ModelPackageArn": f"{VERSIONS}/5", "ModelUri": uri, "Runtime": "openvino"}
    table.put_item(Item={**ENDPOINT, "Record": "endpoint", "Champion": serving})
    return 5


def test_twelve_small_steps_down_do_not_lower_what_is_asked(find: Any, record: Any, champion: int) -> None:
    for version, figure in ((2, "0.62"), (3, "0.61"), (4, "0.60"), (champion, "0.59")):
        record(version, figure)
    number, place, runtime, sentence = find()
    assert (number, place, runtime) == ("2", "models/2/model.tar.gz", "runtime2")
    assert sentence == "v2 is the best version that served."


def test_the_copy_that_only_the_deployer_writes_goes_first(
    cloud: Any, find: Any, record: Any, champion: int, bucket: str
) -> None:
    record(champion, "0.5")
    record(2, "0.6")
    copy = f"released/{2:064x}/model.tar.gz"
    cloud.client("s3").put_object(Bucket=bucket, Key=copy, Body=b"model")
    cloud.client("s3").delete_object(Bucket=bucket, Key="models/2/model.tar.gz")
    assert find()[:2] == ("2", copy)


def test_figures_of_other_test_sets_do_not_choose(find: Any, record: Any, champion: int) -> None:
    record(2, "0.9", "an easier one")
    record(3, "0.5")
    record(champion, "0.4")
    assert find()[0] == "3"


def test_where_no_other_version_answered_the_champions_test_set_the_others_figures_choose(
    find: Any, record: Any, champion: int
) -> None:
    record(2, "0.9", "another one")
    record(champion, "0.4")
    assert find()[0] == "2"


def test_the_champion_is_not_measured_twice(find: Any, record: Any, champion: int) -> None:
    record(2, "0.5")
    record(champion, "0.6")
    assert find() == ("none", "defaults/none/", "none", "The champion is the best version that served.")


@pytest.mark.parametrize("served", [(), 0])
def test_a_version_that_never_served_is_no_measure(find: Any, record: Any, champion: int, served: object) -> None:
    record(2, "0.9", served=served)
    record(champion, "0.4")
    assert find()[3] == "The champion is the best version that served."


@pytest.mark.usefixtures("champion")
def test_a_champion_of_before_verdicts_is_not_taken_for_the_best(find: Any, record: Any) -> None:
    record(2, "0.3")
    assert find()[0] == "2"


def test_a_lost_artifact_is_told_and_measured_nowhere(
    cloud: Any, find: Any, record: Any, champion: int, bucket: str
) -> None:
    record(2, "0.6")
    record(champion, "0.5")
    cloud.client("s3").delete_object(Bucket=bucket, Key="models/2/model.tar.gz")
    number, place, _, sentence = find()
    assert (number, place) == ("none", "defaults/none/")
    assert sentence == (
        f"v2 is the best version that served, but its artifact s3://{bucket}/models/2/model.tar.gz is gone."
    )


@pytest.mark.usefixtures("champion")
def test_reads_every_page_of_the_records(find: Any, record: Any, table: Any) -> None:
    """A page of DynamoDB's holds a megabyte."""
    record(999999, "0.9")
    for number in range(4):
        table.put_item(Item={**ENDPOINT, "Record": f"version#{number:06d}", "Sentence": "s" * 390_000})
    assert find()[0] == "999999"
