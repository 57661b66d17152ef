# SPDX-License-Identifier: Apache-2.0
"""EventBridge and SNS: what happens is told to whoever asked for it."""
