"""Make the sample scans and references: `python sample_data/make_scans.py`.

Phantoms, so they may be given to anyone. The first site is what the starter model version knows; the
second has other contrast, more noise and thicker slices.
"""

import json
from pathlib import Path

from napari_apprentice.core.phantom import phantom, schema
from napari_apprentice.scans.writer import write_label_map, write_scalar

FOLDER = Path(__file__).resolve().parent
KNOWN = tuple(f"site-a-{i:02d}" for i in range(1, 11))
FIRST_SITE = tuple(f"site-a-{i:02d}" for i in range(11, 14))
SECOND_SITE = tuple(f"site-b-{i:02d}" for i in range(1, 9))


def seed_of(case_id: str) -> int:
    """The phantom's seed: 100 and up at the first site, 200 and up at the second."""
    site, number = case_id.split("-")[1:]
    return (100 if site == "a" else 200) + int(number)


def main() -> None:
    """Write scans/, references/ and sample.json beside this script."""
    for name in ("scans", "references"):
        (FOLDER / name).mkdir(exist_ok=True)
    for case_id in (*KNOWN, *FIRST_SITE, *SECOND_SITE):
        volume, labels = phantom(seed_of(case_id), "A" if case_id.startswith("site-a") else "B")
        write_scalar(FOLDER / "scans" / f"{case_id}.nii.gz", volume.voxels[0], volume.geometry, overwrite=True)
        write_label_map(
            FOLDER / "references" / f"{case_id}.nii.gz", labels.voxels, labels.geometry, labels.names, overwrite=True
        )
    facts = {
        "title": "Sample study: abdomen phantoms of two sites",
        "labels": schema().to_json(),
        "known": KNOWN,
        "first_site": FIRST_SITE,
        "second_site": SECOND_SITE,
    }
    (FOLDER / "sample.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
