# SPDX-License-Identifier: Apache-2.0
"""The few candidates of many that count in a loss, positives and negatives in balance.

Faster R-CNN, https://arxiv.org/abs/1506.01497, section 3.1.3; OD API `balanced_positive_negative_sampler`.
"""

import tensorflow as tf


def balanced_sample(
    candidates: tf.Tensor,
    positives: tf.Tensor,
    size: int,
    positive_fraction: float,
    *,
    static: bool,
    seed: tf.Tensor | None,
) -> tf.Tensor:
    """At most `positive_fraction` of positives, the rest negatives, chosen by chance in each image.

    Args:
        candidates: `(batch, n)` bool: what may be chosen.
        positives: `(batch, n)` bool.
        size: How many are chosen in an image.
        positive_fraction: The greatest share of positives.
        static: Choose as the API's sampler for static shapes does, which fills up with what may not be chosen where
            there are too few candidates.
        seed: `(2,)` int32; None takes candidates in their order.

    Returns:
        `(batch, n)` bool, true where chosen.
    """
    if static:
        candidates = _filled_up(candidates, size)
    order = _shuffled(tf.shape(candidates), seed)
    if order is not None:
        candidates, positives = (tf.gather(each, order, batch_dims=1) for each in (candidates, positives))
    choose = _last_of_each if static else _first_of_each
    chosen = choose(candidates & positives, candidates & ~positives, size, int(size * positive_fraction))
    return chosen if order is None else tf.gather(chosen, tf.argsort(order, axis=1), batch_dims=1)


def _shuffled(shape: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor | None:
    """A permutation of each row, `(batch, n)`."""
    return None if seed is None else tf.argsort(tf.random.stateless_uniform(shape, seed), axis=1)


def _first_of_each(positives: tf.Tensor, negatives: tf.Tensor, size: int, max_positives: int) -> tf.Tensor:
    chosen = positives & (_rank(positives) <= max_positives)
    wanted = size - _count(chosen)
    return chosen | negatives & (_rank(negatives) <= wanted)


def _last_of_each(positives: tf.Tensor, negatives: tf.Tensor, size: int, max_positives: int) -> tf.Tensor:
    """As if candidates were sorted, positives from the last one on, then the others, then negatives up to the last.

    A window of positives is cut off that row's start, one of negatives off its end; an entry of neither kind that
    falls into it stands for the first candidate.
    """
    others = ~(positives | negatives)
    num_positives = tf.minimum(_count(positives), max_positives)
    num_negatives = size - num_positives
    chosen = positives & (_rank(positives, reverse=True) <= num_positives)
    chosen |= negatives & (_rank(negatives, reverse=True) <= num_negatives)
    lacking = num_negatives - _count(negatives)
    chosen |= positives & (_rank(positives) <= lacking - _count(others))
    is_first = tf.range(tf.shape(positives)[1])[None] == 0
    return chosen | is_first & (lacking > 0) & (tf.reduce_any(others, axis=1, keepdims=True))


def _filled_up(candidates: tf.Tensor, size: int) -> tf.Tensor:
    """With as many of the others, first ones first, as make `size` candidates."""
    return candidates | (_rank(~candidates) <= size - _count(candidates))


def _rank(flags: tf.Tensor, reverse: bool = False) -> tf.Tensor:
    """How many are true up to here, this one included."""
    return tf.cumsum(tf.cast(flags, tf.int32), axis=1, reverse=reverse)


def _count(flags: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(flags, tf.int32), axis=1, keepdims=True)
