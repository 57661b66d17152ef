# SPDX-License-Identifier: Apache-2.0
"""Models and endpoint configurations are described as they were asked for."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/i:1"


def test_a_model_is_what_was_asked_for(cloud: Any) -> None:
    sagemaker = cloud.client("sagemaker")
    network = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    asked = {"PrimaryContainer": {"Image": IMAGE}, "EnableNetworkIsolation": True, "VpcConfig": network}
    sagemaker.create_model(ModelName="isolated", ExecutionRoleArn=cloud.role, **asked)
    described = sagemaker.describe_model(ModelName="isolated")
    assert {name: described[name] for name in asked} == asked
    assert "Containers" not in described, "moto invents an empty list"
    with pytest.raises(ClientError, match='already existing model "arn:aws:sagemaker:us-east-1:123456789012:model/iso'):
        sagemaker.create_model(ModelName="isolated", ExecutionRoleArn=cloud.role, **asked)


def test_an_endpoint_configuration_keeps_its_capture(cloud: Any) -> None:
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_model(ModelName="captured", ExecutionRoleArn=cloud.role, PrimaryContainer={"Image": IMAGE})
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "captured",
        "InstanceType": "ml.m5.xlarge",
        "InitialInstanceCount": 1,
    }
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 20,
        "DestinationS3Uri": "s3://bucket/capture",
        "CaptureOptions": [{"CaptureMode": "Output"}],
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName="capturing", ProductionVariants=[variant], DataCaptureConfig=capture
    )
    described = sagemaker.describe_endpoint_config(EndpointConfigName="capturing")
    assert described["DataCaptureConfig"] == capture
    assert described["ProductionVariants"] == [variant]
