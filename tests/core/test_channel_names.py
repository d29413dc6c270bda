"""Which channel of a case is read as which."""

import pytest

from napari_apprentice.core.channels import alike, in_order, prevailing, same_channels, taken_for


@pytest.mark.parametrize(
    ("names", "wanted", "read", "taken"),
    [
        (("T1", "FLAIR"), ("T1", "FLAIR"), ("T1", "FLAIR"), ""),
        ((" flair", "t1"), ("T1", "FLAIR"), ("t1", " flair"), ""),
        (("a", "b", "c"), ("c", "a", "b"), ("c", "a", "b"), ""),
        (("CT", "PET"), ("T1", "FLAIR"), ("CT", "PET"), "CT for T1 and PET for FLAIR"),
        (("FLAIR", "T1w"), ("T1", "FLAIR"), ("T1w", "FLAIR"), "T1w for T1"),  # never FLAIR for T1
        (("CT venous",), ("CT",), ("CT venous",), ""),  # one channel may be called anything
        (("CT", "PET"), (), ("CT", "PET"), ""),  # of an earlier version, which kept no names
        (("b", "a"), ("a", "a"), ("b", "a"), "b for a"),
        (("CT", "PET"), ("CT",), ("CT", "PET"), ""),
    ],
)
def test_a_channel_goes_to_the_one_of_its_name(names, wanted, read, taken) -> None:
    assert in_order(names, wanted) == read
    assert taken_for(names, wanted) == taken


def test_one_channel_is_like_any_other_and_several_are_told_by_their_names() -> None:
    assert alike(("image",), ("CT",))
    assert same_channels(("FLAIR", "t1"), ("T1", "flair"))
    assert not alike(("FLAIR", "t1"), ("T1", "flair"))
    assert not same_channels(("T1",), ("T1", "FLAIR"))
    assert not same_channels(("T1", "PET"), ("T1", "FLAIR"))


def test_the_order_of_most_of_those_that_most_have() -> None:
    every = [("CT", "PET"), ("FLAIR", "T1"), ("T1", "FLAIR"), ("T1", "FLAIR"), ("CT", "PET"), ("CT",)]
    assert prevailing(every) == ("T1", "FLAIR")
