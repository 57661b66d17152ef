# SPDX-License-Identifier: Apache-2.0
"""What both images know of the platform and of each other's files. Both carry it, and it imports nothing of either."""
