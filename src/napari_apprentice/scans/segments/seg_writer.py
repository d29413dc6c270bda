"""Label maps out as DICOM Segmentation, referring to the instances of the source series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.sr.codedict import codes

from napari_apprentice import __version__
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import GeometryError, InputError
from napari_apprentice.scans.aside import written_aside
from napari_apprentice.scans.dicom.file import quiet_pydicom
from napari_apprentice.scans.segments.seg_source import SourceSeries, find_source
from napari_apprentice.scans.segments.texts import put_name, short


@dataclass(frozen=True)
class SegOrigin:
    """Who or what made a label map.

    Parameters
    ----------
    how
        MANUAL (a person), SEMIAUTOMATIC (a person corrected a prediction) or AUTOMATIC (a prediction).
    model
        Name of the model version; needed unless `how` is MANUAL.
    author
        Who corrected it.
    """

    how: str = "MANUAL"
    model: str = ""
    author: str = ""


def write_seg(
    path: Path,
    labels: LabelArray,
    geometry: Geometry,
    source: Path,
    *,
    names: Mapping[int, str],
    colours: Mapping[int, str] | None = None,
    origin: SegOrigin | None = None,
    digests: Sequence[str] = (),
    series: str = "",
    overwrite: bool = False,
) -> None:
    """Write a binary DICOM Segmentation with one segment per label, beside the series it belongs to.

    Patient and study are those of the source series, which is read for it and must lie on the case's
    grid. Segments count from 1 in the order of label ids, because the standard asks for that; labels
    that occur nowhere have a segment without frames.

    Parameters
    ----------
    labels
        (z, y, x) uint8 or uint16, canonical orientation.
    source
        Folder of the DICOM series that the case came from, or its one file.
    names, colours
        Label id to name and to colour as #rrggbb.
    digests, series
        Say which series on the grid is the case's; see `find_source`.

    Raises
    ------
    InputError
        The file exists already, a label has no name, or the series lacks what a segmentation must repeat.
    ChoiceError
        Several series lie on the case's grid, or one of other files than the case came from.
    GeometryError
        No series in the folder lies on the case's grid.
    StorageError
        The disk is full, gone or read-only; nothing is left behind.
    """
    if labels.shape != geometry.shape:
        raise GeometryError(f"{path.name}: voxels of shape {labels.shape} do not fit the grid {geometry.shape}.")
    nameless = sorted(set(np.unique(labels).tolist()) - {0, *names})
    if nameless:
        raise InputError(f"{path.name}: label {', '.join(map(str, nameless))} has no name to be written with.")
    with quiet_pydicom():
        found = find_source(source, geometry, digests, series)
        segmentation = _segmentation(labels, found, names, colours or {}, origin or SegOrigin(), path.name)
        with written_aside(path, overwrite=overwrite) as aside:
            segmentation.save_as(aside)


def _segmentation(
    labels: LabelArray,
    source: SourceSeries,
    names: Mapping[int, str],
    colours: Mapping[int, str],
    origin: SegOrigin,
    name: str,
) -> hd.seg.Segmentation:
    ids = sorted(names)
    numbers = np.zeros(max(ids) + 1, np.uint8 if len(ids) < 256 else np.uint16)
    numbers[ids] = np.arange(1, len(ids) + 1)
    pixels = np.stack([numbers[place.view(labels)] for place in source.places])
    try:
        return hd.seg.Segmentation(
            source_images=list(source.datasets),
            pixel_array=pixels,
            plane_positions=[hd.PlanePositionSequence("PATIENT", position) for position in source.positions],
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[_segment(n, names[i], colours.get(i, ""), origin) for n, i in enumerate(ids, 1)],
            series_instance_uid=hd.UID(),
            series_number=1,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="Apprentice",
            manufacturer_model_name="napari-apprentice",
            software_versions=__version__,
            device_serial_number=origin.model or "none",
            content_label="SEGMENTATION",
            content_description="Label map of napari-apprentice",
            content_creator_name=short(origin.author) or None,
            specific_character_set="ISO_IR 192",  # UTF-8: label names are of any language
            series_description=f"Segmentation ({origin.how.lower()})",
        )
    except AttributeError as error:
        raise InputError(f"{name} cannot refer to this series: its files lack {error.name}.") from error
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{name} cannot refer to this series: {error}") from error


def _segment(number: int, name: str, colour: str, origin: SegOrigin) -> hd.seg.SegmentDescription:
    # The schema has names of its own choice; of the standard's codes only the most general one is sure to be true.
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=short(name),
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=codes.SCT.AnatomicalStructure,
        algorithm_type=origin.how,
        algorithm_identification=None if origin.how == "MANUAL" else _algorithm(origin.model),
        display_color=hd.color.CIELabColor.from_rgb(*bytes.fromhex(colour[1:])) if colour else None,
    )
    put_name(description, name)
    return description


def _algorithm(model: str) -> hd.AlgorithmIdentificationSequence:
    return hd.AlgorithmIdentificationSequence(
        name="Apprentice", family=codes.DCM.ArtificialIntelligence, version=short(model or "unknown")
    )
