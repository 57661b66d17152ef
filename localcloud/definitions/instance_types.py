# SPDX-License-Identifier: Apache-2.0
"""Instances with local NVMe storage, which encrypt it with a key of their own and take no other.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_NVME = re.compile(
    r"ml\.([cmrx][0-9]+[a-z]*d[a-z]*|g4dn|g5|g6|g6e|gr6|g7|g7e|i3en|p3dn|p4d|p4de|p5|p5e|p5en|p6-b200|p6-b300|"
    r"p6e-gb200|dl1|trn1|trn1n|trn2)\..+"
)
_CLUSTERS = (("ProcessingResources", "ClusterConfig"), ("ResourceConfig",), ("TransformResources",))


def has_local_nvme(instance_type: str) -> bool:
    """Return whether instances of a type encrypt their storage themselves."""
    return bool(_NVME.fullmatch(instance_type))


def clusters(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield where a job's instances are asked for, as a path, and what is asked of them."""
    for path in _CLUSTERS:
        value: Any = arguments
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping):
            yield ".".join(path), value
