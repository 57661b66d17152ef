# SPDX-License-Identifier: Apache-2.0
"""`mapgate architectures` as a person types it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

Mapgate = Callable[..., subprocess.CompletedProcess[str]]


def test_architectures_are_listed_and_found_by_any_of_the_zoos_names(mapgate: Mapgate, typed: Mapgate) -> None:
    listed = mapgate("architectures")
    one = typed("architectures", "efficientdet_d6_coco17_tpu-32", "--json")
    unknown = typed("architectures", "yolo")

    assert (listed.returncode, one.returncode, unknown.returncode) == (0, 0, 2)
    row = next(line for line in listed.stdout.splitlines() if line.startswith("ssd_resnet50_v1_fpn_640x640"))
    assert row.split() == ["ssd_resnet50_v1_fpn_640x640", "640x640", "32.84", "M", "34.3", "46"]
    assert [each["name"] for each in json.loads(one.stdout)] == ["efficientdet_d6_1408x1408"]
    assert "architecture 'yolo' is not known" in unknown.stderr
