# SPDX-License-Identifier: Apache-2.0
"""infra/sagemaker.json: the regions and instance types of SageMaker, as a synth that asks nobody needs them.

What SageMaker takes for which use stands in botocore's service model, what an instance is made of in EC2's
DescribeInstanceTypes, which moto carries; both are dated by `as_of`, the day on which the list last changed.
"""

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import moto.ec2

LIST = Path(__file__).resolve().parents[2] / "infra" / "sagemaker.json"
USES: Mapping[str, str] = {
    "endpoint": "ProductionVariantInstanceType",
    "processing": "ProcessingInstanceType",
    "training": "TrainingInstanceType",
    "transform": "TransformInstanceType",
}
MACHINES = "resources/instance_types.json.gz"
# Families that EC2 no longer describes, or not to everybody:
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html
BY_HAND: Mapping[str, Mapping[str, Any]] = {
    "p2": {"accelerator": "K80"},
    "p3": {"accelerator": "V100"},
    "dl1": {"accelerator": "Gaudi HL-205", "nvme_gigabytes": 4000},
    "p6e-gb200": {"accelerator": "GB200", "nvme_gigabytes": 22500, "arm": True},
}


def reference() -> str:
    """Return the list's text; its day is today's only where something in it has changed."""
    content = listed()
    text = _written("", content)
    old = LIST.read_text() if LIST.exists() else ""
    as_of = json.loads(old)["as_of"] if old else ""
    if not old or _written(as_of, content) != old:
        as_of = datetime.now(UTC).date().isoformat()
    return text.replace('"as_of": ""', f'"as_of": "{as_of}"')


def listed() -> dict[str, Any]:
    """Return `regions`, and under `instance_types` what each type is taken for and made of."""
    session = botocore.session.get_session()
    model: Any = session.get_service_model("sagemaker")
    uses = {use: set(model.shape_for(shape).enum) for use, shape in USES.items()}
    machines = json.loads(gzip.decompress((Path(moto.ec2.__file__).parent / MACHINES).read_bytes()))
    return {
        "regions": sorted(
            region
            for partition in session.get_available_partitions()
            for region in session.get_available_regions("sagemaker", partition)
        ),
        "instance_types": {
            name: {
                "uses": [use for use, types in uses.items() if name in types],
                **_made_of(name.removeprefix("ml."), machines),
            }
            for name in sorted(set().union(*uses.values()))
        },
    }


def _made_of(name: str, machines: Mapping[str, Any]) -> dict[str, Any]:
    family = name.split(".")[0]
    if name not in machines:
        return dict(BY_HAND[family])
    machine = machines[name]
    made: dict[str, Any] = {}
    for info, members in (("GpuInfo", "Gpus"), ("NeuronInfo", "NeuronDevices")):
        if devices := machine.get(info, {}).get(members):
            made["accelerator"] = devices[0]["Name"]
    if gigabytes := machine.get("InstanceStorageInfo", {}).get("TotalSizeInGB"):
        made["nvme_gigabytes"] = gigabytes
    if machine["ProcessorInfo"]["SupportedArchitectures"] == ["arm64"]:
        made["arm"] = True
    return made


def _written(as_of: str, content: Mapping[str, Any]) -> str:
    """A type a line, so that a change is a line of a diff."""
    types = content["instance_types"].items()
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(described)}" for name, described in types)
    return (
        f'{{\n "as_of": {json.dumps(as_of)},\n "regions": {json.dumps(content["regions"])},\n'
        f' "instance_types": {{\n{lines}\n }}\n}}\n'
    )
