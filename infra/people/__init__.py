# SPDX-License-Identifier: Apache-2.0
"""What people may do with a deployment."""
