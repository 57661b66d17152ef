# SPDX-License-Identifier: Apache-2.0
"""report.html of a data set: what is in it, and what is wrong with it.

The contract of whoever collects:

    description |= figures(collected)     # the page's numbers, for dataset.json
    page = render(ReportContent(description, collected, samples, faults, ...))
"""
