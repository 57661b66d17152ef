# SPDX-License-Identifier: Apache-2.0
"""The laptop's cloud makes every resource type that the stacks are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from localcloud.cloudformation.resource_types import known_types

BY_SETTING = "AWS::SNS::Subscription"  # where `delivery.email` is set, which no committed environment does


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_every_type_is_one_that_the_laptops_cloud_makes(environment: str, synthesize: Callable[[str], Any]) -> None:
    templates = synthesize(environment).templates.values()
    kinds = {resource["Type"] for template in templates for resource in template["Resources"].values()}
    assert {"AWS::SageMaker::Pipeline", "AWS::S3::Bucket", "AWS::Lambda::Function"} <= kinds
    made = {kind for kind in {*kinds, BY_SETTING} if not kind.startswith("Custom::")}
    assert made - set(known_types()) == set()
