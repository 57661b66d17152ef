# SPDX-License-Identifier: Apache-2.0
"""What SageMaker's instance types are for and made of, from the dated list beside this module.

`make reference` writes `sagemaker.json` anew; tests/infra/test_instance_types.py holds it against botocore.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

LIST = Path(__file__).with_name("sagemaker.json")

Use = Literal["endpoint", "processing", "training", "transform"]

# Families with local NVMe storage: c5d, m5d, r7gd and their like, x2idn, and the accelerated ones.
_NVME = re.compile(
    r"ml\.([cmrx][0-9]+[a-z]*d[a-z]*|g4dn|g5|g6|g6e|gr6|g7|g7e|i3en|p3dn|p4d|p4de|p5|p5e|p5en|p6-b200|p6-b300|"
    r"p6e-gb200|dl1|trn1|trn1n|trn2)\..+"
)


# Families with GPUs: so much a type's name says that is newer than the list.
_GPU = re.compile(r"ml\.(g|gr|p)[0-9][a-z0-9-]*\..+")

# TensorFlow 2.21's wheels bring cuDNN 9, which since 9.11 needs compute capability 7.5; these have 3.7 and 7.0:
# https://docs.nvidia.com/deeplearning/cudnn/backend/latest/reference/support-matrix.html
TOO_OLD = frozenset({"K80", "V100"})
_OLD_DRIVER = frozenset({"g4dn", "g5", "p4d", "p4de"})
_OTHER_THAN_GPUS = ("Gaudi", "Inferentia", "Trainium")


@dataclass(frozen=True)
class InstanceType:
    """A type as the list has it.

    Attributes:
        uses: What SageMaker takes it for.
        accelerator: Name of its GPU or other accelerator, if it has one.
        nvme_gigabytes: Of its local storage, all disks together; 0 where SageMaker attaches a volume instead.
        arm: Whether its processor is Graviton or Grace.
    """

    uses: frozenset[str]
    accelerator: str = ""
    nvme_gigabytes: int = 0
    arm: bool = False


@cache
def instance_types() -> Mapping[str, InstanceType]:
    """Return every type that the list knows, by its name (`ml.g5.xlarge`)."""
    return {
        name: InstanceType(**{**described, "uses": frozenset(described["uses"])})
        for name, described in _list()["instance_types"].items()
    }


def regions() -> list[str]:
    """Return the regions in which SageMaker is."""
    return list(_list()["regions"])


def as_of() -> str:
    """Return the day of the list, such as `2026-11-30`."""
    return str(_list()["as_of"])


def has_local_nvme(instance_type: str) -> bool:
    """Return whether an instance type (`ml.g5.xlarge`) has local NVMe storage, as far as its name says.

    The instance encrypts that storage with a key of its own, and SageMaker refuses a VolumeKmsKeyId for it:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
    """
    return bool(_NVME.fullmatch(instance_type))


def has_gpu(instance_type: str) -> bool:
    """Return whether an instance type (`ml.g5.xlarge`) has a GPU, by the list, else as far as its name says."""
    known = instance_types().get(instance_type)
    if known is None:
        return bool(_GPU.fullmatch(instance_type))
    return bool(known.accelerator) and not known.accelerator.startswith(_OTHER_THAN_GPUS)


def inference_ami(instance_type: str) -> str | None:
    """Return the host software that an endpoint's instances have to be asked for; None where SageMaker's own will do.

    CUDA 12, which TensorFlow's wheels bring, needs driver 525 or newer, and these families have 470 unless a
    configuration says otherwise: https://docs.aws.amazon.com/sagemaker/latest/dg/inference-gpu-drivers.html
    https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
    """
    return "al2-ami-sagemaker-inference-gpu-3-1" if instance_type.split(".")[1] in _OLD_DRIVER else None


def refusals(name: str, uses: Collection[Use], *, further: Collection[str], volume_gigabytes: int) -> Iterator[str]:
    """Yield why an instance type cannot be chosen, each as the rest of a sentence that begins with its setting.

    Args:
        name: Of the type.
        uses: All that it is wanted for.
        further: Types that are taken as they are, because they are newer than the list.
        volume_gigabytes: Wanted for a job's files.
    """
    known = instance_types().get(name)
    if known is None:
        if name not in further:
            near = get_close_matches(name, instance_types(), 1)
            yield (
                f"{name} is no instance type that SageMaker knew on {as_of()}"
                f"{f' (is {near[0]} meant?)' if near else ''}; say a newer one in further_instance_types too"
            )
        return
    for use in uses:
        if use not in known.uses:
            yield f"SageMaker takes {name} for {', '.join(sorted(known.uses))}, not for {use}"
    if known.arm:
        yield f"{name} has an Arm processor, and the images are built for x86-64: take one without a g in its family"
    if known.accelerator.startswith(_OTHER_THAN_GPUS):
        yield f"{name} has a {known.accelerator}, which the images' TensorFlow and OpenVINO do not know"
    elif known.accelerator in TOO_OLD:
        yield f"the {known.accelerator} of {name} is too old for the images' cuDNN: take a g4dn, g5 or g6"
    # "You can't request a VolumeSizeInGB greater than the total size of the local instance storage":
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProcessingClusterConfig.html
    if 0 < known.nvme_gigabytes < volume_gigabytes:
        yield f"{name} has {known.nvme_gigabytes} GB of local storage, which a volume of {volume_gigabytes} GB exceeds"


@cache
def _list() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(LIST.read_text())
    return content
