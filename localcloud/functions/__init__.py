# SPDX-License-Identifier: Apache-2.0
"""Lambda: functions run as their own code, and what calls them from queues."""
