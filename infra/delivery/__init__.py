# SPDX-License-Identifier: Apache-2.0
"""How an approved version reaches production."""
