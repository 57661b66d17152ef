# SPDX-License-Identifier: Apache-2.0
"""Which quota a job or an endpoint uses, and the sentence where it is used up."""

from __future__ import annotations

from localcloud.quotas.limits import code_of, every_name, of_job, of_variants, refusal

NAME = "ml.p3.2xlarge for training job usage"


def test_what_fits_is_not_refused() -> None:
    assert refusal(NAME, 2, 1, 1) == ""
    assert refusal(NAME, 2, 2, 1).startswith(
        f"The account-level service limit '{NAME}' is 2 Instances, with current utilization of 2 Instances and a "
        "request delta of 1 Instances. "
    )


def test_spot_has_a_quota_of_its_own() -> None:
    request = {"ResourceConfig": {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 2}}
    assert of_job("Training", request) == (NAME, 2)
    spot = request | {"EnableManagedSpotTraining": True}
    assert of_job("Training", spot) == ("ml.p3.2xlarge for spot training job usage", 2)
    cluster = {"ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 3}}}
    assert of_job("Processing", cluster) == ("ml.m5.large for processing job usage", 3)


def test_variants_of_a_type_add_up() -> None:
    assert of_variants([("ml.m5.large", 2), ("ml.c5.large", 1), ("ml.m5.large", 1)]) == {
        "ml.m5.large for endpoint usage": 3,
        "ml.c5.large for endpoint usage": 1,
    }


def test_every_quota_has_a_code_of_its_own() -> None:
    names = every_name()
    assert NAME in names
    assert len({code_of(name) for name in names}) == len(names) > 700
