# SPDX-License-Identifier: Apache-2.0
"""What `mapgate demo` shows when the user brings no images of their own."""
