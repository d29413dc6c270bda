"""Many sentences that say the same become one, which names what differs, and only within one case."""

import pytest

from napari_apprentice.core.words import in_short


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("Prediction of a1 for revision r0003 is damaged in line {}.", "4 such: 1, 2, 3 ..."),
        ("Revision r2024001/r000{} is damaged.", "4 such: r0001, r0002, r0003 ..."),
        ("Moved strokes of a1/r000{0} to /b/repaired/journal/a1/r000{0}.bin.", "such: r0001, r0002, r0003 "),
        ("Case r2024001 is damaged: level {} is not what was stored.", "4 such: 1, 2, 3 ..."),
    ],
)
def test_of_many_alike_that_is_named_in_which_they_differ(sentence: str, told: str) -> None:
    (line,) = in_short(sentence.format(n) for n in range(1, 5))
    assert line.startswith(sentence.format(1))
    assert told in line


@pytest.mark.parametrize(
    "sentence",
    [
        "Case r202400{} is damaged: level 0 is not what was stored.",
        "Revision r202400{}/r0001 is damaged.",
        "The stored array r202400{}/image/labels/r0001/0 is damaged.",
        "cases.zarr/r202400{} has a name that this program does not use; it is passed over.",
        "The stored group r202400{0} is damaged: r202400{0}/zarr.json is damaged: it is not JSON.",
        "The prediction of r202400{} by v0001 is damaged; predict it again.",
        "Removed cases.zarr/.case-{}.0a1b2c3d.aside, left by a write that was interrupted.",
    ],
)
def test_cases_stay_apart_also_where_they_are_called_as_revisions_are(sentence: str) -> None:
    sentences = [sentence.format(n) for n in range(5)]
    assert in_short(sentences) == sentences


def test_what_is_said_again_in_the_same_words_is_counted() -> None:
    assert in_short(["It is damaged."] * 4) == ["It is damaged. (4 such)"]
