# SPDX-License-Identifier: Apache-2.0
"""The code of CheckPlan; `infra/training/check_plan_asset.py` puts beside it what it imports."""
