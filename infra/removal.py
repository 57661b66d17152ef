# SPDX-License-Identifier: Apache-2.0
"""What becomes of data when its stack goes, as the settings want it."""

import aws_cdk as cdk

from infra.settings import Settings


def removal_policy(settings: Settings) -> cdk.RemovalPolicy:
    """Return the policy of what holds data.

    Even where data is kept, a first deployment that fails leaves nothing behind: its names would be taken, and no
    second attempt could succeed.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
    """
    destroys = settings.removal == "destroy"
    return cdk.RemovalPolicy.DESTROY if destroys else cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
