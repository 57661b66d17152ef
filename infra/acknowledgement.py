# SPDX-License-Identifier: Apache-2.0
"""Findings of the security checks that are meant to be as they are, each with its reason."""

import aws_cdk as cdk
from constructs import IConstruct


def acknowledge(construct: IConstruct, *rules: str, reason: str) -> None:
    """Accept findings (`AwsSolutions-IAM5[Resource::*]`) on a construct and what it contains."""
    for rule in rules:
        cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))
