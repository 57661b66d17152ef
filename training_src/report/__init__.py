# SPDX-License-Identifier: Apache-2.0
"""What all reports share: a page that loads nothing from anywhere, and charts drawn into it."""
