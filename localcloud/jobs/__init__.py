# SPDX-License-Identifier: Apache-2.0
"""SageMaker's training, processing and transform jobs."""
