import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by

from napari_apprentice.errors import ScanError
from napari_apprentice.scans.reader import read_volume


def _detached(folder, suffix):
    path = folder / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4)), str(path))
    (raw,) = [p for p in folder.iterdir() if p != path and p.is_file()]
    return path, raw


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_a_missing_raw_file_is_named(tmp_path, suffix):
    path, raw = _detached(tmp_path, suffix)
    raw.unlink()
    with pytest.raises(ScanError, match=rf"a{suffix} says that its voxels are in {raw.name}, which is missing"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_header_does_not_reach_out_of_its_folder(tmp_path, suffix, absolute):
    folder = tmp_path / "in"
    folder.mkdir()
    path, raw = _detached(folder, suffix)
    secret = raw.rename(tmp_path / raw.name)
    target = str(secret) if absolute else f"../{raw.name}"
    path.write_text(path.read_text().replace(raw.name, target))
    with pytest.raises(ScanError, match="outside of its own folder"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_voxels_may_be_a_link_beside_the_header_as_in_a_datalad_data_set(tmp_path, suffix):
    kept = tmp_path / ".git" / "annex" / "objects"
    kept.mkdir(parents=True)
    files = _detached(tmp_path, suffix)
    for n, file in enumerate(files):
        file.rename(kept / f"KEY{n}")
        file.symlink_to(kept / f"KEY{n}")
    folder = tmp_path / "linked"
    folder.mkdir()
    for file in files:
        (folder / file.name).symlink_to(file)
    for path in (tmp_path, folder):
        np.testing.assert_array_equal(np.sort(read_volume(path / f"a{suffix}").voxels, axis=None), np.arange(24))


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_the_digest_changes_with_the_voxels(tmp_path, suffix):
    path, raw = _detached(tmp_path, suffix)
    before = read_volume(path)
    raw.write_bytes(raw.read_bytes()[::-1])
    if raw.suffix == ".gz" or "gz" in path.read_text():
        return  # turned round it is no gzip
    after = read_volume(path)
    assert after.source_digest != before.source_digest
    assert not np.array_equal(after.voxels, before.voxels)


def test_a_list_of_slices_is_followed(tmp_path):
    voxels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for n, part in enumerate(voxels):
        (tmp_path / f"s{n}.raw").write_bytes(part.tobytes())
    head = "NDims = 3\nDimSize = 4 3 2\nElementType = MET_UCHAR\nElementDataFile = LIST\ns0.raw\ns1.raw\n"
    (tmp_path / "a.mhd").write_text(head)
    found = read_volume(tmp_path / "a.mhd")
    np.testing.assert_array_equal(found.geometry.to_source(found.voxels)[0].T, voxels)
    (tmp_path / "s1.raw").unlink()
    with pytest.raises(ScanError, match=r"s1\.raw, which is missing"):
        read_volume(tmp_path / "a.mhd")
