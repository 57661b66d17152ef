# SPDX-License-Identifier: Apache-2.0
"""CloudFormation's resource types, a module a family. Each is made by calling this same server, as a user would.

So what a stack creates is exactly what `describe_*` answers later, and passes every refusal.
"""

from __future__ import annotations

import importlib

from localcloud.cloudformation.resource_types.registry import (
    ReplacementNeeded,
    ResourceType,
    Target,
    known_types,
    resource_type,
    type_of,
)

for _family in ("compute", "identity", "messaging", "monitoring", "sagemaker", "storage"):
    importlib.import_module(f"{__name__}.{_family}")

__all__ = ["ReplacementNeeded", "ResourceType", "Target", "known_types", "resource_type", "type_of"]
