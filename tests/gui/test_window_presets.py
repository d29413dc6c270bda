"""Which window presets a channel is offered, and what they show."""

import numpy as np
import pytest

from napari_apprentice.gui.window_presets import AUTOMATIC, CT, MR, PET, Preset, kind_of, limits_of, presets_for


@pytest.mark.parametrize(
    ("channel", "modality", "kind"),
    [
        ("CT", "", "CT"), ("ct_arterial", "", "CT"), ("CT", "PT", "CT"), ("PET", "CT", "PT"), ("SUV", "", "PT"),
        ("image", "CT", "CT"), ("c0", "PT", "PT"), ("FLAIR", "CT", "MR"), ("T1", "", "MR"), ("image", "", "MR"),
        ("contact", "", "MR"), ("FLAIR", "MR", "MR"),
    ],
)  # fmt: skip
def test_the_kind_comes_from_the_name_before_the_modality(channel: str, modality: str, kind: str) -> None:
    assert kind_of(channel, modality) == kind


def test_each_kind_is_offered_its_own_after_the_automatic_one() -> None:
    assert [presets_for(kind) for kind in ("CT", "PT", "MR")] == [(AUTOMATIC, *p) for p in (CT, PET, MR)]
    assert {p.name: (p.low, p.high) for p in CT}["Lung"] == (-1200, 600)
    assert {p.colormap for p in PET} == {"gray_r"}


def test_values_are_shown_as_they_are_and_percentiles_are_counted() -> None:
    data = np.arange(1001.0).reshape(1, 7, 143)
    assert limits_of(Preset("a", -160, 240), data, False) == (-160, 240)
    assert limits_of(Preset("b", 1, 99, percentiles=True), data, False) == (10, 990)


def test_an_even_scan_and_one_of_nothing_but_nan_have_a_window_all_the_same() -> None:
    for value in (4.0, np.nan):
        low, high = limits_of(AUTOMATIC, np.full((2, 3, 4), value), False)
        assert low < high


class OnDisk:
    """A scan that is read slice by slice, and counts how many."""

    def __init__(self, voxels: np.ndarray) -> None:
        self.voxels, self.shape, self.read = voxels, voxels.shape, 0

    def __getitem__(self, index: int) -> np.ndarray:
        self.read += 1
        return self.voxels[index]


def test_a_large_scan_is_not_read_for_its_percentiles() -> None:
    large = OnDisk(np.zeros((100, 300, 300), np.uint8))
    coarse = np.arange(1001.0).reshape(7, 11, 13)
    assert limits_of(MR[0], [large, coarse], True) == (10, 990)
    assert large.read == 0
    limits_of(MR[0], large, False)
    assert 0 < large.read <= 3
