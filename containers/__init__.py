# SPDX-License-Identifier: Apache-2.0
"""The two container images: what they are built from, and what both know of the platform."""
