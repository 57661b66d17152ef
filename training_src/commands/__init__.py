# SPDX-License-Identifier: Apache-2.0
"""What `mapgate` runs of this source on a laptop: a module a command, each with a function `run`.

The function's signature is the command line (see `command_line.py`), whose options `mapgate COMMAND --help` explains.
It returns the exit code, and lets errors of ours pass: they are printed as sentences, and end with their own exit code.
"""
