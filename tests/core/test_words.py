"""Words that end a sentence on a name which nobody knows."""

import pytest

from napari_apprentice.core.words import meant


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("hipocampus_001", " Did you mean hippocampus_001?"),
        ("SITE-A-1", " Did you mean site-a-11 or site-a-01?"),
        ("liver", ""),
    ],
)
def test_the_names_that_a_mistyped_one_is_most_like_are_asked_about(name: str, asked: str) -> None:
    assert meant(name, ["hippocampus_001", "site-a-01", "site-a-11", "b"]) == asked
