# SPDX-License-Identifier: Apache-2.0
"""What the deployer's environment says of endpoints."""

from __future__ import annotations

from infra.delivery.deployer_function import hosting_variables
from infra.settings import Delivery, Network, Security, Settings


def test_every_setting_of_hosting_has_its_own_variable() -> None:
    settings = Settings(
        project="birds",
        environment="lab",
        network=Network(subnets=("subnet-0a", "subnet-0b"), security_groups=("sg-0c", "sg-0d")),
        delivery=Delivery(instance_type="ml.c5.2xlarge", instance_count=3, canary_percent=34, data_capture_percent=5),
    )
    assert hosting_variables(settings, "the-key") == {
        "PREFIX": "birds-lab",
        "ENDPOINT_NAME": "birds-lab",
        "INFERENCE_INSTANCE_TYPE": "ml.c5.2xlarge",
        "INFERENCE_INSTANCE_COUNT": "3",
        "CANARY_PERCENT": "34",
        "LATENCY_ALARM_MILLISECONDS": "2000",
        "DATA_CAPTURE_PERCENT": "5",
        "KMS_KEY_ARN": "the-key",
        "SUBNET_IDS": "subnet-0a,subnet-0b",
        "SECURITY_GROUP_IDS": "sg-0c,sg-0d",
    }


def test_no_key_is_given_where_the_instances_or_the_settings_take_none() -> None:
    local_storage = Settings(environment="lab", delivery=Delivery(instance_type="ml.r5d.large"))
    unwanted = Settings(environment="lab", security=Security(customer_managed_volumes=False))
    for settings in (local_storage, unwanted):
        assert "KMS_KEY_ARN" not in hosting_variables(settings, "the-key")


def test_a_gpu_gets_the_driver_that_the_image_needs() -> None:
    settings = Settings(environment="lab", delivery=Delivery(instance_type="ml.g5.xlarge"))
    assert hosting_variables(settings, "the-key")["INFERENCE_AMI_VERSION"] == "al2-ami-sagemaker-inference-gpu-3-1"
