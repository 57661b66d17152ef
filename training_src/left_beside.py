# SPDX-License-Identifier: Apache-2.0
"""What operating systems and editors leave beside a user's files, and what is none of them."""

# Of a file's resource fork in archives and on foreign volumes: https://www.rfc-editor.org/rfc/rfc1740
_APPLE_DOUBLE = "._"
# Jupyter's holds each file as it was opened, `pipeline-checkpoint.config` for `pipeline.config`:
# https://jupyter-server.readthedocs.io/en/latest/developers/contents.html
_NAMES = frozenset(("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints"))


def is_foreign(name: str) -> bool:
    """Whether a name, of a file or of a folder, is that of what something else than the user left beside the data."""
    return name.startswith(_APPLE_DOUBLE) or name in _NAMES
