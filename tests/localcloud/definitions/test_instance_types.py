# SPDX-License-Identifier: Apache-2.0
"""Which instances encrypt their storage themselves, and where a job asks for them."""

from __future__ import annotations

import pytest

from localcloud.definitions.instance_types import clusters, has_local_nvme


@pytest.mark.parametrize(
    ("instance_type", "local"),
    [
        ("ml.g5.xlarge", True),
        ("ml.m5d.large", True),
        ("ml.c6gd.4xlarge", True),
        ("ml.p5en.48xlarge", True),
        ("ml.m5.xlarge", False),
        ("ml.p3.2xlarge", False),
        ("ml.g5", False),
        ("", False),
    ],
)
def test_families_with_local_storage_are_known(instance_type: str, local: bool) -> None:
    assert has_local_nvme(instance_type) is local


def test_clusters_are_found_in_every_kind_of_job() -> None:
    cluster = {"InstanceType": "ml.m5.xlarge"}
    assert list(clusters({"ProcessingResources": {"ClusterConfig": cluster}})) == [
        ("ProcessingResources.ClusterConfig", cluster)
    ]
    assert list(clusters({"ResourceConfig": cluster, "TransformResources": {"Get": "Parameters.X"}})) == [
        ("ResourceConfig", cluster),
        ("TransformResources", {"Get": "Parameters.X"}),
    ]
    assert not list(clusters({"ProcessingResources": "none"}))
