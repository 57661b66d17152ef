# SPDX-License-Identifier: Apache-2.0
"""SageMaker's models and endpoint configurations."""
