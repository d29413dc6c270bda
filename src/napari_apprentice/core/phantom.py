"""An abdomen that nobody owns: CT-like phantoms from two sites, for the sample, the demo and the tests.

Site A is portal-venous with thin slices; site B has little contrast medium, thick slices, more noise
and a shading, so a model from A goes wrong on B in a way that a few corrected scans mend.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.volume import LabelMap, Volume
from napari_apprentice.errors import InputError

NAMES = ("liver", "kidney", "spleen")
FIELD_MM = (160.0, 216.0, 216.0)  # of the default shape, along (z, y, x)
FINE = 2  # rendered at twice the size and averaged, which makes partial volumes

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Site:
    """A scanner and its protocol: HU per tissue, noise in HU, slice blur in mm, shading in HU."""

    hu: Mapping[str, float]
    spacing: tuple[float, float, float]
    noise: float
    blur_mm: float
    shading: float
    affine_x: float  # 1 for RAS files, -1 for LAS files


def site_of(name: str) -> Site:
    """The protocol of site "A" or "B"."""
    if name == "A":
        hu = {"liver": 110.0, "cortex": 190.0, "medulla": 150.0, "spleen": 130.0, "muscle": 60.0,
              "bowel": 45.0, "aorta": 165.0, "stomach": 20.0}  # fmt: skip
        return Site(hu, (4.0, 3.0, 3.0), 12.0, 0.0, 0.0, 1.0)
    if name == "B":
        hu = {"liver": 93.0, "cortex": 137.0, "medulla": 105.0, "spleen": 108.0, "muscle": 52.0,
              "bowel": 32.0, "aorta": 127.0, "stomach": 40.0}  # fmt: skip
        return Site(hu, (6.0, 3.0, 3.0), 25.0, 5.0, 35.0, -1.0)
    raise InputError(f"The phantom's site is A or B, not {name!r}.")


def schema() -> LabelSchema:
    """The phantom's labels: 1 liver, 2 kidney (both sides), 3 spleen."""
    return LabelSchema.from_names(NAMES)


def phantom(seed: int, site: str, shape: tuple[int, int, int] = (40, 72, 72)) -> tuple[Volume, LabelMap]:
    """Draw one phantom; the same seed and site give the same voxels.

    Parameters
    ----------
    seed
        Anatomy and noise.
    site
        "A": 4 x 3 x 3 mm, portal-venous. "B": 6 x 3 x 3 mm, little contrast, noise, shading.
    shape
        Voxels (z, y, x) of site A; site B covers the same field with fewer slices.

    Returns
    -------
    Volume (1, z, y, x) int16 in HU, channel "CT", and its label map (uint8), both in canonical order.
    """
    protocol = site_of(site)
    slices = max(1, round(shape[0] * 4.0 / protocol.spacing[0]))
    grid = (slices, shape[1], shape[2])
    rng = np.random.default_rng([seed, ord(site)])
    tissue = _tissues(rng, (grid[0] * FINE, grid[1] * FINE, grid[2] * FINE))
    hu = _average(_blurred(_paint(rng, tissue, protocol), protocol))
    hu += _acquisition(rng, grid, protocol)
    voxels = np.clip(np.round(hu), -1024, 1500).astype(np.int16)[None]
    geometry = _geometry(grid, protocol)
    name = f"phantom-{site}-{seed:03d}"
    return Volume(voxels, geometry, ("CT",), name), LabelMap(_labels(tissue), geometry, dict(enumerate(NAMES, 1)))


def _geometry(grid: tuple[int, int, int], site: Site) -> Geometry:
    z, y, x = site.spacing
    affine = np.diag([site.affine_x * x, y, z, 1.0])
    affine[:3, 3] = [-site.affine_x * x * grid[2] / 2, -y * grid[1] / 2, -z * grid[0] / 2]
    return Geometry.from_source((grid[2], grid[1], grid[0]), affine)


def _tissues(rng: np.random.Generator, shape: tuple[int, int, int]) -> dict[str, Mask]:
    """Masks by tissue, later ones lie over earlier ones. Axes run to S, P, L from -1 to 1."""
    z, y, x = _warped(rng, shape)
    body, wall = rng.uniform(0.93, 1.03), rng.uniform(0.8, 0.88)
    trunk = np.hypot(y / (0.72 * body), x / (0.92 * body))
    loops = _smooth(rng, shape, 5.0)

    def egg(middle: Sequence[float], radii: Sequence[float]) -> Mask:
        m = np.array(middle) + rng.normal(0, 0.03, 3)
        r = np.array(radii) * rng.uniform(0.88, 1.12, 3)
        inside: Mask = ((z - m[0]) / r[0]) ** 2 + ((y - m[1]) / r[1]) ** 2 + ((x - m[2]) / r[2]) ** 2 < 1
        return inside

    spine_y = 0.4 + rng.normal(0, 0.01)
    column = np.hypot(y - spine_y, x)
    kidneys = [egg((-0.25 + 0.08 * s, 0.28, 0.42 * s), (0.46, 0.22, 0.2)) for s in (-1, 1)]
    kidney = kidneys[0] | kidneys[1]
    deep = ndimage.binary_erosion(kidney, iterations=3 if min(shape) > 30 else 1)
    cavity = trunk < wall - 0.1
    stomach = egg((0.35, -0.25, 0.35), (0.3, 0.22, 0.22))
    return {
        "fat": trunk < body,
        "muscle": (trunk < wall) & ~cavity | (np.hypot(y - spine_y, (np.abs(x) - 0.18)) < 0.13),
        "bowel": cavity & (loops > 0.2) & (z < 0.2),
        "gas": cavity & (loops > 1.3) & (z < 0.2),
        "stomach": stomach,
        "bone": (column < 0.13) | (np.hypot(y - spine_y - 0.17, x) < 0.05),
        "aorta": np.hypot(y - 0.2, x - 0.06) < 0.06,
        "liver": (egg((0.3, 0.0, -0.42), (0.62, 0.46, 0.36)) | egg((0.4, -0.28, -0.08), (0.3, 0.24, 0.36)))
        & (trunk < wall - 0.05),
        "spleen": egg((0.3, 0.18, 0.56), (0.46, 0.34, 0.2)) & (trunk < wall - 0.05),
        "cortex": kidney,
        "medulla": deep & (_smooth(rng, shape, 3.0) > 0),
    }


def _warped(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[Array, Array, Array]:
    """Coordinates from -1 to 1 along each axis, smoothly deformed."""
    axes = [((np.arange(n) + 0.5) / n * 2 - 1).astype(np.float32) for n in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    big, small = (0.05 * _smooth(rng, shape, 24.0) for _ in range(2))
    third = 0.05 * _smooth(rng, shape, 24.0)
    fine = 0.015 * _smooth(rng, shape, 6.0)
    return z + big + fine, y + small - fine, x + third + fine


def _smooth(rng: np.random.Generator, shape: tuple[int, int, int], width: float) -> Array:
    """A random field of mean 0 and spread 1 that changes over about `width` fine voxels."""
    small = tuple(max(4, round(n / width * 2)) for n in shape)
    field = ndimage.gaussian_filter(rng.standard_normal(small), 1.0, mode="nearest")
    field = ndimage.zoom(
        field, [n / s for n, s in zip(shape, small, strict=True)], order=1, grid_mode=True, mode="nearest"
    )
    scaled: Array = ((field - field.mean()) / (field.std() + 1e-9)).astype(np.float32)
    return scaled


def _paint(rng: np.random.Generator, tissue: Mapping[str, Mask], site: Site) -> Array:
    """HU at the fine size: tissue values that differ from person to person, and texture."""
    values = {"fat": -100.0, "gas": -600.0, "bone": 320.0, **site.hu}
    shape = tissue["fat"].shape
    hu = np.full(shape, -1000.0, dtype=np.float32)
    for name, mask in tissue.items():
        hu[mask] = values[name] + (0.0 if name == "fat" else rng.normal(0, 4))
    hu[tissue["fat"]] += 6 * _smooth(rng, (shape[0], shape[1], shape[2]), 4.0)[tissue["fat"]]
    return hu


def _blurred(hu: Array, site: Site) -> Array:
    """Thick slices: a Gaussian along z."""
    if site.blur_mm == 0:
        return hu
    blurred: Array = ndimage.gaussian_filter1d(hu, site.blur_mm / 2.355 / (site.spacing[0] / FINE), axis=0)
    return blurred


def _average(fine: Array) -> Array:
    z, y, x = (n // FINE for n in fine.shape)
    mean: Array = fine.reshape(z, FINE, y, FINE, x, FINE).mean(axis=(1, 3, 5), dtype=np.float32)
    return mean


def _acquisition(rng: np.random.Generator, grid: tuple[int, int, int], site: Site) -> Array:
    """Noise with the grain of a reconstruction kernel, and a low-frequency shading."""
    grain = ndimage.gaussian_filter(rng.standard_normal(grid), (0, 0.6, 0.6))
    noise: Array = (grain / grain.std() * site.noise).astype(np.float32)
    if site.shading:
        noise += site.shading * _smooth(rng, grid, float(max(grid)))
    return noise


def _labels(tissue: Mapping[str, Mask]) -> NDArray[np.uint8]:
    """Whatever fills most of a voxel."""
    fine = np.zeros(tissue["fat"].shape, dtype=np.uint8)
    for name, label in (("liver", 1), ("spleen", 3), ("cortex", 2)):
        fine[tissue[name]] = label
    shares = np.stack([_average((fine == i).astype(np.float32)) for i in range(len(NAMES) + 1)])
    labels: NDArray[np.uint8] = shares.argmax(axis=0).astype(np.uint8)
    return labels
