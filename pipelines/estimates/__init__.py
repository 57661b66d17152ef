# SPDX-License-Identifier: Apache-2.0
"""What an execution will do, take and cost, told before it is started."""
