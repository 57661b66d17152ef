# SPDX-License-Identifier: Apache-2.0
"""What a SageMaker instance type says by its name."""

import re

# Families with local NVMe storage: c5d, m5d, r7gd and their like, and the accelerated ones.
_NVME_FAMILY = re.compile(
    r"^([cmr][0-9]+[a-z]*d[a-z]*|g4dn|g5|g6|g6e|gr6|i3en|p3dn|p4d|p4de|p5|p5e|p5en|trn1|trn1n|trn2)$"
)


def has_local_nvme(instance_type: str) -> bool:
    """Return whether an instance type (`ml.g5.xlarge`) has local NVMe storage.

    The instance encrypts that storage with a key of its own, and SageMaker refuses a VolumeKmsKeyId for it:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
    """
    return bool(_NVME_FAMILY.match(instance_type.split(".")[1]))
