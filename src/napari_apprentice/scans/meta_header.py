"""What a MetaImage header promises, looked at before ITK believes it: ITK dies of a wrong number of axes.

Source: https://itk.org/Wiki/MetaIO/Documentation
"""

import math
import re
from pathlib import Path

from napari_apprentice.errors import ScanError

META = (".mha", ".mhd")
_MOST = 1 << 16
_LINE = re.compile(r"\s*(NDims|DimSize|ElementNumberOfChannels)\s*[=:]\s*(.*?)\s*", re.IGNORECASE)


def check_meta_header(path: Path) -> None:
    """Refuse a header whose numbers cannot be.

    Raises
    ------
    ScanError
        Its number of axes, sizes or values per voxel are no such numbers, or do not fit each other.
    """
    if path.suffix.lower() not in META:
        return
    with path.open("rb") as file:
        text = file.read(_MOST).decode("latin-1")
    # Voxels may follow the last line, which names where they are.
    lines = re.split(r"ElementDataFile", text, maxsplit=1, flags=re.IGNORECASE)[0].splitlines()
    matches = (_LINE.fullmatch(line) for line in lines)
    facts = {m.group(1).lower(): m.group(2) for m in matches if m}
    try:
        axes = int(facts.get("ndims", ""))
        sizes = [int(part) for part in facts.get("dimsize", "").split()]
        values = int(facts.get("elementnumberofchannels", "1"))
    except ValueError as error:
        raise ScanError(f"{path.name} is damaged: its header does not say how many voxels it holds.") from error
    if axes not in (1, 2, 3, 4):
        raise ScanError(f"{path.name} has {axes} axes; scans of 2 to 4 axes are read.")
    if len(sizes) != axes or min(sizes) < 1 or values < 1 or math.prod(sizes) * values > 1 << 48:
        raise ScanError(f"{path.name} is damaged: its header gives {axes} axes of sizes {sizes}, {values} values each.")
