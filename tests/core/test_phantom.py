import numpy as np
import pytest

from napari_apprentice.core.phantom import phantom, schema
from napari_apprentice.errors import InputError


@pytest.mark.parametrize(("site", "shape", "spacing"), [("A", (40, 72, 72), (4, 3, 3)), ("B", (27, 72, 72), (6, 3, 3))])
def test_a_scan_of_each_site(site, shape, spacing):
    volume, labels = phantom(0, site)
    assert volume.voxels.shape == (1, *shape)
    assert volume.voxels.dtype == np.int16
    assert volume.channels == ("CT",)
    assert volume.geometry.spacing == pytest.approx(spacing)
    assert volume.geometry.difference(labels.geometry) is None
    sizes = np.bincount(labels.voxels.ravel(), minlength=4)
    assert (sizes[1:] > 400).all()
    assert labels.names == {label.id: label.name for label in schema().labels}


def test_the_liver_lies_on_the_right_and_the_spleen_on_the_left():
    labels = phantom(3, "A")[1].voxels
    assert np.argwhere(labels == 1)[:, 2].mean() < 36 < np.argwhere(labels == 3)[:, 2].mean()


def test_a_seed_repeats_itself_and_others_differ():
    one, two, other = (phantom(s, "B", (10, 24, 24)) for s in (1, 1, 2))
    assert (one[0].voxels == two[0].voxels).all()
    assert (one[1].voxels == two[1].voxels).all()
    assert (one[1].voxels != other[1].voxels).any()


def test_contrast_differs_between_sites():
    found = {}
    for site in "AB":
        volume, labels = phantom(1, site, (20, 36, 36))
        found[site] = [volume.voxels[0][labels.voxels == i].mean() for i in (1, 2, 3)]
    assert found["A"][1] - found["B"][1] > 30
    with pytest.raises(InputError):
        phantom(0, "C")
