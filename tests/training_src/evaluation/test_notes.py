# SPDX-License-Identifier: Apache-2.0
"""What stands beside every verdict."""

from pathlib import Path

from training_src.evaluation import schema
from training_src.evaluation.comparison import CommonClasses
from training_src.evaluation.judged_by import GivenPolicy, read_rules
from training_src.evaluation.notes import notes

DEFAULT = Path(__file__).parents[3] / "infra/training/defaults/gate_policy.yaml"
POLICY = read_rules(GivenPolicy(DEFAULT, None), None, 0.0).policy
OWN = schema.ScoredDataset(sha256="d", images=120, boxes=370, test_set="t")


def told(dataset: schema.ScoredDataset, champion: CommonClasses | None = None, sequences: int = 120) -> list[str]:
    return list(notes(dataset, schema.Resolution(), POLICY, champion, sequences))


def test_who_chose_the_test_set_is_told_where_it_was_the_execution() -> None:
    assert told(OWN) == ["The execution chose its own test set of 120 images."]
    assert told(OWN.model_copy(update={"chosen_by": "environment"})) == []
    unknown = told(OWN, CommonClasses(("a",)))
    assert unknown == [
        "The execution chose its own test set of 120 images, of which nobody knows how many are in the champion's."
    ]
    shared = OWN.model_copy(update={"overlap_with_champion": schema.Overlap(images=30, share=0.25)})
    assert "of which 30 (25%) are in the champion's." in told(shared, CommonClasses(("a",)))[0]


def test_too_few_sequences_are_told() -> None:
    (sentence,) = told(OWN, sequences=3)[1:]
    assert sentence.startswith("The test images are of so few sequences (3) that intervals are drawn over images")
    assert len(told(OWN, sequences=5)) == 1


def test_an_execution_that_names_its_own_test_set_chose_it(tmp_path: Path) -> None:
    named = tmp_path / "run.yaml"
    named.write_text(f"{DEFAULT.read_text()}\ntest_set: {{uri: s3://bucket/own/, sha256: {'a' * 64}}}\n")
    own = read_rules(GivenPolicy(DEFAULT, None), GivenPolicy(named, None), 0.0)
    assert (own.chosen_by, own.policy.test_set is None) == ("execution", False)
    assert read_rules(GivenPolicy(named, None), None, 0.0).chosen_by == "environment"


def test_what_the_test_set_can_show_is_told() -> None:
    shows = schema.Resolution(smallest_difference={"mAP": 0.0386}, images_needed={"mAP": 305})
    (*_, sentence) = notes(OWN, shows, POLICY, None, 120)
    assert sentence == ("This test set shows a fall of 0.039 mAP in 8 of 10 cases; 0.025 would need 305 such images.")
