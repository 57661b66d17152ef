# SPDX-License-Identifier: Apache-2.0
"""What must be true of a data set: of each image, of its boxes, and of the whole."""
