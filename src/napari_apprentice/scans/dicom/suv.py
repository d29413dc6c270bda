"""PET activity to SUV by body weight, after the QIBA pseudo-code for vendor-neutral SUV."""

import math
from datetime import datetime, timedelta

from pydicom.dataset import Dataset

from napari_apprentice.scans.dicom.file import number_of, text_of

# https://qibawiki.rsna.org/index.php/Standardized_Uptake_Value_(SUV)
SUV_KEYWORDS = (
    "Units",
    "CorrectedImage",
    "DecayCorrection",
    "PatientWeight",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "RadiopharmaceuticalInformationSequence",
)
LONGEST = 20  # half-lives between injection and scan; more is a mistake in the times


def suv_factor(headers: tuple[Dataset, ...]) -> tuple[float | None, str]:
    """What Bq/ml are multiplied by to become SUV (g/ml).

    SUVbw = activity * weight in g / decayed dose; the dose decays from the injection to the time that the
    images are decay-corrected to (start of the series, or the injection itself).

    Parameters
    ----------
    headers
        Those of all slices.

    Returns
    -------
    The factor, or None with the reason in words why it cannot be told ("" when the voxels are SUV already).
    """
    header = headers[0]
    units = text_of(header, "Units")
    if units == "GML":
        return None, ""
    if units != "BQML":
        return None, f"its unit is {units if units in _UNITS else 'not given'}"
    missing = next((m for m in ("ATTN", "DECY") if m not in text_of(header, "CorrectedImage").split("\\")), None)
    if missing:
        return None, f"it is not corrected for {'attenuation' if missing == 'ATTN' else 'decay'}"
    weight = number_of(header, "PatientWeight")
    items = header.get("RadiopharmaceuticalInformationSequence") or ()
    if not weight > 0 or not items:
        return None, "it does not give the weight" if items else "it does not give the dose"
    dose, half_life = number_of(items[0], "RadionuclideTotalDose"), number_of(items[0], "RadionuclideHalfLife")
    if not dose > 0 or not half_life > 0:
        return None, "it does not give the dose and half-life"
    seconds = _decay_seconds(headers, items[0])
    if seconds is None or not 0 <= seconds <= LONGEST * half_life:
        return None, "it does not give usable times of injection and scan"
    return weight * 1000 / (dose * 2 ** (-seconds / half_life)), ""


_UNITS = ("CNTS", "NONE", "CM2", "PCNT", "CPS", "MGMINML", "UMOLMINML", "MLMING", "MLG", "1CM", "UMOLML", "PROPCNTS")


def _decay_seconds(headers: tuple[Dataset, ...], tracer: Dataset) -> float | None:
    """Seconds from the injection to the time that voxels are decay-corrected to; None when unknown."""
    correction = text_of(headers[0], "DecayCorrection")
    if correction == "ADMIN":
        return 0.0
    scan = _reference_time(headers)
    if correction != "START" or scan is None:
        return None
    started = _moment(text_of(tracer, "RadiopharmaceuticalStartDateTime"), "")
    if started is not None:
        return (scan - started).total_seconds()
    started = _moment(f"{scan:%Y%m%d}", text_of(tracer, "RadiopharmaceuticalStartTime"))
    if started is None:
        return None
    if started > scan:  # injected before midnight
        started -= timedelta(days=1)
    return (scan - started).total_seconds()


def _reference_time(headers: tuple[Dataset, ...]) -> datetime | None:
    """Start of the series; of its first acquisition where the series is dated later (derived images)."""
    series = _moment(text_of(headers[0], "SeriesDate"), text_of(headers[0], "SeriesTime"))
    all_times = (_moment(text_of(h, "AcquisitionDate"), text_of(h, "AcquisitionTime")) for h in headers)
    times = [t for t in all_times if t is not None]
    first = min(times, default=None)
    if series is None or first is None:
        return series or first
    return series if series <= first else first


def _moment(date: str, time: str) -> datetime | None:
    """DICOM date and time, or one date-time, without zone."""
    digits = (date + time).split("+")[0].split("-")[0].replace(":", "")
    whole, _, fraction = digits.partition(".")
    if not whole.isdigit() or len(whole) < 12 or len(date) < 8:
        return None
    try:
        moment = datetime.strptime(whole[:14].ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    part = float(f"0.{fraction}") if fraction.isdigit() else 0.0
    return moment + timedelta(seconds=part if math.isfinite(part) else 0.0)
