# SPDX-License-Identifier: Apache-2.0
"""Images that stand in two splits: the same, almost the same, or frames of one sequence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from training_src.data.checks.policy import DataPolicy
from training_src.data.dataset import Fault
from training_src.data.index import Index
from training_src.data.splits import SPLITS

# Pairs that are compared bit by bit before the search gives up, and more for each image: a set of fog and night has few
# different images.
_MOST_COMPARED, _COMPARED_PER_IMAGE = 20_000_000, 20


def drop_leaks(index: Index) -> int:
    """Keep an image that stands in several splits in the last of train, validation, test only.

    Returns:
        The number of images that left their split.
    """
    index.execute(
        "CREATE TEMP TABLE home AS SELECT content, max(split) AS split FROM images WHERE split IS NOT NULL "
        "GROUP BY content HAVING min(split) < max(split)"
    )
    index.execute("CREATE INDEX temp.home_content ON home (content)")
    condition = "split < (SELECT home.split FROM home WHERE home.content = images.content)"
    count = index.number(f"SELECT count(*) FROM images WHERE {condition}")
    index.execute(f"UPDATE images SET split = NULL WHERE {condition}")
    index.execute("DROP TABLE home")
    return count


def same_images(index: Index) -> Iterator[Fault]:
    """A fault for each image that stands in two splits or more."""
    query = (
        "SELECT min(split || '|' || image), max(split || '|' || image), count(*), annotation FROM images "
        "WHERE split IS NOT NULL GROUP BY content HAVING min(split) < max(split) ORDER BY min(number)"
    )
    for first, second, count, annotation in index.rows(query):
        (in_one, one), (in_other, other) = (text.split("|", 1) for text in (first, second))
        more = f" ({count} times in all)" if count > 2 else ""
        message = (
            f"{one} ({SPLITS[int(in_one)]}) and {other} ({SPLITS[int(in_other)]}) are the same image{more}; "
            "keep it in one split."
        )
        yield Fault(annotation, None, "leak", message, image=one)


@dataclass
class _Comparison:
    """Counts differing bits, until it has done so very often."""

    left: int

    def __call__(self, one: int, other: int) -> int:
        self.left -= 1
        return ((one ^ other) & (1 << 64) - 1).bit_count() if self.left > 0 else 65


def similar_images(index: Index, policy: DataPolicy) -> Iterator[Fault]:
    """A fault for each image of validation and test that is almost one of a split before it.

    Two 64-bit numbers that differ in at most `bits` bits agree in one of `bits + 1` bands: only those are compared.
    """
    bits = int(policy.threshold("near_leak", "bits"))
    images = index.number("SELECT count(*) FROM images")
    comparison = _Comparison(_MOST_COMPARED + _COMPARED_PER_IMAGE * images)
    index.connection.create_function("differing_bits", 2, comparison, deterministic=True)
    told: set[int] = set()
    for number in range(bits + 1):
        low, high = 64 * number // (bits + 1), 64 * (number + 1) // (bits + 1)
        band = f"((%s.dhash >> {low}) & {(1 << high - low) - 1 if high - low < 63 else -1})"
        index.execute(f"CREATE INDEX band ON images ({band.replace('%s.', '')}, split) WHERE dhash IS NOT NULL")
        query = (
            "SELECT a.number, a.image, a.split, b.image, b.split, a.annotation FROM images AS a JOIN images AS b "
            f"ON {band % 'a'} = {band % 'b'} AND b.split < a.split AND a.content != b.content "
            "WHERE a.dhash IS NOT NULL AND b.dhash IS NOT NULL AND a.split > 0 "
            "AND differing_bits(a.dhash, b.dhash) <= ? ORDER BY a.number"
        )
        for image, name, split, other, in_other, annotation in index.rows(query, bits):
            if image in told:
                continue
            if len(told) < 100_000:
                told.add(image)
            message = (
                f"{name} ({SPLITS[split]}) looks like {other} ({SPLITS[in_other]}); "
                "keep them in one split if they show one scene."
            )
            yield Fault(annotation, None, "near_leak", message, image=name)
        index.execute("DROP INDEX band")
    if comparison.left <= 0:
        message = "So many images look alike that not all pairs were compared; look for fog, night or empty scenes."
        yield Fault("", None, "near_leak", message, "notice")


def torn_sequences(index: Index) -> Iterator[Fault]:
    """A fault for each sequence whose frames stand in two splits or more."""
    query = (
        "SELECT sequence, max(likely), min(split), max(split), count(*), min(annotation), min(image) FROM images "
        "WHERE sequence != '' AND split IS NOT NULL GROUP BY sequence HAVING min(split) < max(split) ORDER BY sequence"
    )
    for sequence, likely, first, last, count, annotation, image in index.rows(query):
        message = (
            f'The sequence "{sequence}" ({count} images) stands in {SPLITS[first]} and in {SPLITS[last]}; '
            "keep its frames in one split."
        )
        yield Fault(annotation, None, "likely_sequence" if likely else "sequence", message, image=image)


def repeated_images(index: Index) -> Iterator[Fault]:
    """One notice of all images that stand more than once in their split."""
    query = (
        "SELECT min(image), max(image), count(*) FROM images WHERE split IS NOT NULL GROUP BY split, content "
        "HAVING count(*) > 1"
    )
    groups, example = 0, ("", "")
    for one, other, _ in index.rows(query):
        groups += 1
        example = min(example, (one, other)) if example[0] else (one, other)
    if groups:
        what = "1 image stands" if groups == 1 else f"{groups} images stand"
        message = f"{what} more than once in a split, such as {example[0]} and {example[1]}."
        yield Fault(example[0], None, "repeated_image", message, image=example[0])
