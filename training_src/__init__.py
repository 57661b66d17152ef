# SPDX-License-Identifier: Apache-2.0
"""What runs in the training image: an entry point a step, and the library below them."""
