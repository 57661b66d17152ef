# SPDX-License-Identifier: Apache-2.0
"""What PublishDossier does, a module a concern: what it reads, demands, signs, records and shows."""
