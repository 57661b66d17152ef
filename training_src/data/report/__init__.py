# SPDX-License-Identifier: Apache-2.0
"""report.html of a data set: what is in it, and what is wrong with it.

The contract of whoever collects:

    description |= figures(collected)     # the page's numbers, for dataset.json
    page = render(ReportContent(description, collected, samples, faults, ...))
"""

from training_src.data.report.anchors import read_anchors
from training_src.data.report.content import (
    AnchorLevel,
    Anchors,
    BoxArrays,
    Collected,
    FaultPicture,
    ReportContent,
    Sample,
)
from training_src.data.report.figures import figures
from training_src.data.report.page import render

__all__ = [
    "AnchorLevel",
    "Anchors",
    "BoxArrays",
    "Collected",
    "FaultPicture",
    "ReportContent",
    "Sample",
    "figures",
    "read_anchors",
    "render",
]
