# SPDX-License-Identifier: Apache-2.0
"""The deployer's asset: `index.py` is the handler's file, `deployments` the reconciler."""
