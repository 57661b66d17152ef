# SPDX-License-Identifier: Apache-2.0
"""The evidence of a version: signed statements, each naming the one before it by digest.

PublishDossier and the deployer carry it in their assets and sign; `mapgate models provenance` reads it. The standard
library is enough for it.
"""
