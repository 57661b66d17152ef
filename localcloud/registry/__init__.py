# SPDX-License-Identifier: Apache-2.0
"""SageMaker's model registry."""
