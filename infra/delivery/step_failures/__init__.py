# SPDX-License-Identifier: Apache-2.0
"""The asset of one Lambda function."""
