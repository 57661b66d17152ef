# SPDX-License-Identifier: Apache-2.0
"""The `mapgate` command, a module a noun."""
