# SPDX-License-Identifier: Apache-2.0
"""What nobody here asks CloudFormation for is refused by its name, and not answered from moto's own stacks."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def test_an_action_that_is_not_here_is_refused_by_its_name(cloud: Any) -> None:
    with pytest.raises(ClientError, match="does not know cloudformation's ListStackSets"):
        cloud.client("cloudformation").list_stack_sets()
