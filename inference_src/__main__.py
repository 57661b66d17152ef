# SPDX-License-Identifier: Apache-2.0
"""The inference image's commands."""
