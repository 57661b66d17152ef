# SPDX-License-Identifier: Apache-2.0
"""What a test set can tell: the smallest fall that it shows, and how many images would show the one that matters."""

from training_src.evaluation import schema
from training_src.evaluation.bootstrap import difference, standard_deviation
from training_src.evaluation.compared import OtherModel, change_samples
from training_src.evaluation.comparison import OVERALL, images_needed, smallest_difference
from training_src.evaluation.policy import GatePolicy
from training_src.evaluation.scoring import Scored


def resolution(challenger: Scored, champion: OtherModel | None, policy: GatePolicy) -> schema.Resolution:
    """Of mAP, by the deviation of the difference from the champion; where there is none, by mAP's own.

    Two models that answer the same images find the same ones hard, so the difference moves less than either does: a
    first version's figures are those of the worst case.
    """
    deviation = _deviation(challenger, champion)
    images = challenger.metrics.images
    if not deviation or not images:
        return schema.Resolution()
    fall = policy.champion.greatest_fall.get(OVERALL) if policy.champion else None
    return schema.Resolution(
        smallest_difference={OVERALL: smallest_difference(deviation, fall)},
        images_needed={OVERALL: images_needed(deviation, images, fall)} if fall else {},
    )


def _deviation(challenger: Scored, champion: OtherModel | None) -> float | None:
    if champion is None or champion.scored is None:
        return standard_deviation(challenger.resampled.metrics[OVERALL])
    found = difference(*change_samples(challenger, champion.scored, champion.ids, OVERALL))
    return found.standard_deviation if found else None
