# SPDX-License-Identifier: Apache-2.0
"""What runs in the inference image: the HTTP server, its runtimes, and their measurement."""
