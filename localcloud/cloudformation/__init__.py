# SPDX-License-Identifier: Apache-2.0
"""CloudFormation: templates, stacks, and the types of resources that they are made of."""
