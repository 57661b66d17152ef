# SPDX-License-Identifier: Apache-2.0
"""Which version is served where, and how it gets there.

`reconcile` decides, `production` and `candidate` act, `records` remembers; an event only says that it is time to look.
"""
