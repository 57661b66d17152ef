# SPDX-License-Identifier: Apache-2.0
"""What talks to a deployment: its executions, its registry, its endpoint, its images."""
