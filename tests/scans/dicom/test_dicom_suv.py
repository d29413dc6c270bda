from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage

from dicom_builder import items, random_voxels, write_series
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.scans.dicom.reader import read_dicom
from napari_apprentice.scans.dicom.suv import suv_factor

SHAPE = (3, 6, 7)
HALF_LIFE = 6586.2  # of fluorine-18, seconds


def pet(**changes: object) -> dict[str, object]:
    """Attributes of a PET scan that began one half-life after the injection; None takes one away."""
    own = {
        "SOPClassUID": PositronEmissionTomographyImageStorage,
        "Modality": "PT",
        "Units": "BQML",
        "CorrectedImage": ["ATTN", "DECY"],
        "DecayCorrection": "START",
        "PatientWeight": "70",
        "SeriesDate": "20200110",
        "SeriesTime": "114946.2",
        "AcquisitionDate": "20200110",
        "AcquisitionTime": "115000",
        "RadiopharmaceuticalInformationSequence": tracer(),
    }
    return {k: v for k, v in (own | changes).items() if v is not None}


def tracer(**changes: object) -> object:
    own = {"RadionuclideTotalDose": 3.5e8, "RadionuclideHalfLife": HALF_LIFE, "RadiopharmaceuticalStartTime": "100000"}
    return items(**{k: v for k, v in (own | changes).items() if v is not None})


def factor(**changes: object) -> tuple[float | None, str]:
    data = Dataset()
    for keyword, value in pet(**changes).items():
        setattr(data, keyword, value)
    return suv_factor((data,))


def test_activity_becomes_suv_by_body_weight(tmp_path: Path):
    voxels = random_voxels(SHAPE, np.uint16)
    folder = write_series(tmp_path / "s", voxels, RescaleSlope=2, **pet())
    volume = read_dicom(folder, ReadSettings(), bytes(32))
    # One half-life later half the dose is left: 70 kg, 350 MBq -> 70000 g / 175 MBq.
    np.testing.assert_allclose(
        volume.geometry.to_source(volume.voxels[0]).transpose(2, 1, 0), voxels * (2 * 70000 / 1.75e8), rtol=1e-6
    )
    assert volume.voxels.dtype == np.float32
    assert volume.steps[0].kind == "suv"
    assert (volume.channels, volume.modality) == (("PT",), "PT")


def test_activity_stays_when_told(tmp_path: Path):
    folder = write_series(tmp_path / "s", random_voxels(SHAPE, np.uint16), **pet())
    volume = read_dicom(folder, ReadSettings(suv=False), bytes(32))
    assert volume.voxels.dtype == np.uint16
    assert not volume.warnings


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 70000 / 1.75e8),
        ({"DecayCorrection": "ADMIN"}, 70000 / 3.5e8),
        # A series made of the images later: the first acquisition counts.
        ({"SeriesTime": "200000", "AcquisitionTime": "114946.2"}, 70000 / 1.75e8),
        (
            {"RadiopharmaceuticalInformationSequence": tracer(RadiopharmaceuticalStartDateTime="20200110100000.00")},
            4e-4,
        ),
        # Injected before midnight, scanned after it.
        (
            {
                "RadiopharmaceuticalInformationSequence": tracer(RadiopharmaceuticalStartTime="230000"),
                "SeriesTime": "004946.2",
                "AcquisitionTime": "010000",
            },
            4e-4,
        ),
    ],
)
def test_the_dose_decays_until_the_time_that_voxels_stand_for(changes: dict[str, object], expected: float):
    assert factor(**changes)[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"PatientWeight": None}, "weight"),
        ({"RadiopharmaceuticalInformationSequence": None}, "dose"),
        ({"RadiopharmaceuticalInformationSequence": tracer(RadionuclideTotalDose=0.0)}, "dose"),
        ({"CorrectedImage": ["DECY"]}, "attenuation"),
        ({"Units": "CNTS"}, "CNTS"),
        ({"DecayCorrection": "NONE"}, "times"),
        ({"SeriesTime": None, "AcquisitionTime": None}, "times"),
        (
            {"RadiopharmaceuticalInformationSequence": tracer(RadiopharmaceuticalStartDateTime="20191110100000")},
            "times",
        ),
    ],
)
def test_what_is_missing_is_said_and_voxels_stay(tmp_path: Path, changes: dict[str, object], said: str):
    assert factor(**changes)[0] is None
    assert said in factor(**changes)[1]
    folder = write_series(tmp_path / "s", random_voxels(SHAPE, np.uint16), **pet(**changes))
    volume = read_dicom(folder, ReadSettings(), bytes(32))
    assert any(said in w and "could not be turned into SUV" in w for w in volume.warnings)
    assert volume.voxels.dtype == np.uint16


def test_suv_in_the_file_is_left_alone():
    assert factor(Units="GML") == (None, "")
