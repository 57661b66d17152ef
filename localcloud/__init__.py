# SPDX-License-Identifier: Apache-2.0
"""The laptop's cloud: a moto server on a loopback port plus what moto lacks, a module or a package a service."""
