# SPDX-License-Identifier: Apache-2.0
"""The one error of PublishDossier."""


class DossierError(Exception):
    """The dossier cannot be written; the message says what is wrong, where, and what to do."""
