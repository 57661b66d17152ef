# SPDX-License-Identifier: Apache-2.0
"""How people learn that something went wrong, and where they look."""
