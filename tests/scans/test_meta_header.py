import pytest

from napari_apprentice.errors import ScanError
from napari_apprentice.scans.reader import read_volume

GOOD = "NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("NDims = 3", "NDims = 9999"),  # of which ITK dies
        ("NDims = 3", "NDims = -1"),
        ("NDims = 3\n", ""),
        ("DimSize = 2 2 2", "DimSize = 2 2"),
        ("DimSize = 2 2 2", "DimSize = 2 0 2"),
        ("DimSize = 2 2 2", "DimSize = a b c"),
        ("DimSize = 2 2 2", "DimSize = 999999 999999 999999"),
        ("DimSize = 2 2 2", "DimSize = 2 2 2\nElementNumberOfChannels = 99999999999999999"),
    ],
)
def test_a_header_that_cannot_be_is_refused_before_itk_sees_it(tmp_path, old, new):
    path = tmp_path / "a.mha"
    path.write_bytes(GOOD.encode() + bytes(range(8)))
    assert read_volume(path).voxels.size == 8
    path.write_bytes(GOOD.replace(old, new).encode() + bytes(range(8)))
    with pytest.raises(ScanError, match=r"a\.mha"):
        read_volume(path)
