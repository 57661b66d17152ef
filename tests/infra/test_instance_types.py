# SPDX-License-Identifier: Apache-2.0
"""The list of instance types is what botocore and EC2 say, and everybody's answers on local storage agree with it."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import botocore.session
import pytest

from infra.instance_types import LIST, as_of, has_gpu, has_local_nvme, inference_ami, instance_types, regions
from localcloud.definitions import instance_types as of_the_laptops_cloud
from tests.documentation import sagemaker

# Of SageMaker's notebooks, apps and clusters, or of EC2 alone so far.
WITH_STORAGE = ["ml.x2iedn.4xlarge", "ml.gr6.8xlarge", "ml.i3en.large", "ml.m6id.large", "ml.r8gd.medium"]
WITHOUT = ["ml.t3.medium", "ml.c5n.xlarge", "ml.inf1.xlarge", "ml.x2g.large", "ml.r8g.medium", "ml.c7i-flex.xlarge"]


def test_the_list_is_what_botocore_and_ec2_say() -> None:
    assert LIST.read_text() == sagemaker.reference(), "infra/sagemaker.json is stale: run `make reference`"


@pytest.mark.parametrize("use", sagemaker.USES)
def test_the_list_knows_every_type_of_a_use(use: str) -> None:
    shape: Any = botocore.session.get_session().get_service_model("sagemaker").shape_for(sagemaker.USES[use])
    listed = {name for name, described in instance_types().items() if use in described.uses}
    assert listed == set(shape.enum)
    assert len(listed) > 100


def test_the_list_is_dated() -> None:
    assert date(2026, 11, 1) < date.fromisoformat(as_of()) <= date.today()
    assert len(regions()) > 30


def test_says_what_a_type_is_made_of() -> None:
    known = instance_types()
    assert (known["ml.g5.xlarge"].accelerator, known["ml.g5.xlarge"].nvme_gigabytes) == ("A10G", 250)
    assert (known["ml.m5.xlarge"].accelerator, known["ml.m5.xlarge"].nvme_gigabytes) == ("", 0)
    assert known["ml.c6g.large"].arm and not known["ml.c6i.large"].arm
    assert known["ml.p3.2xlarge"].accelerator == "V100"


def test_both_lists_of_local_storage_say_what_ec2_says() -> None:
    listed = {name for name, described in instance_types().items() if described.nvme_gigabytes}
    for knows in (has_local_nvme, of_the_laptops_cloud.has_local_nvme):
        assert {name for name in instance_types() if knows(name)} == listed
        assert [name for name in (*WITH_STORAGE, *WITHOUT) if knows(name)] == WITH_STORAGE
    families = {name.split(".")[1] for name in listed}
    assert families >= {"g7e", "p6-b200", "p6-b300", "dl1"}


def test_a_type_has_a_gpu_by_the_list_and_a_newer_one_by_its_name() -> None:
    listed = {name for name in instance_types() if has_gpu(name)}
    assert {name.split(".")[1] for name in listed} >= {"g4dn", "g5", "g6", "g6e", "g7e", "p4d", "p5", "p6-b200"}
    assert not {name for name in listed if name.startswith(("ml.c", "ml.m", "ml.r", "ml.inf", "ml.trn", "ml.dl1"))}
    assert has_gpu("ml.g9.xlarge") and has_gpu("ml.p7-c300.48xlarge") and has_gpu("ml.gr9.4xlarge")
    assert not has_gpu("ml.c9g.xlarge") and not has_gpu("ml.trn9.xlarge")


def test_endpoints_on_gpus_get_a_driver_that_knows_cuda_12() -> None:
    asked = {name for name in instance_types() if inference_ami(name)}
    assert {name.split(".")[1] for name in asked} == {"g4dn", "g5", "p4d", "p4de"}
    assert all(has_gpu(name) for name in asked)
    model: Any = botocore.session.get_session().get_service_model("sagemaker")
    assert {inference_ami(name) for name in asked} <= set(model.shape_for("ProductionVariantInferenceAmiVersion").enum)


def test_a_type_stands_on_a_line_of_its_own() -> None:
    lines = [line for line in LIST.read_text().splitlines() if line.startswith('  "ml.')]
    assert len(lines) == len(json.loads(LIST.read_text())["instance_types"])
