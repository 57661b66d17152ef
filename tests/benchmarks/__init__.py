# SPDX-License-Identifier: Apache-2.0
"""Speed as ratios that are measured in one run, on one machine: `make bench`."""
