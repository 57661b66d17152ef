# SPDX-License-Identifier: Apache-2.0
"""How many instances of a type an account may have at once, for each use, and what refuses more."""
