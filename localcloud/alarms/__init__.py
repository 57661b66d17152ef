# SPDX-License-Identifier: Apache-2.0
"""CloudWatch's alarms, which moto keeps and never evaluates, and the samples that they watch."""
