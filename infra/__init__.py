# SPDX-License-Identifier: Apache-2.0
"""The CDK app and the Lambda code that it deploys."""
