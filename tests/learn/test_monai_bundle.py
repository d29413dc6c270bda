"""MONAI bundles: the same logits as MONAI itself, prepared as the bundle says; nothing of it is run."""

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles import AFTER, BEFORE, UNET, config, metadata, trained, write
from small import finish, make_example, never

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.monai_bundle import read_bundle
from napari_apprentice.core.plan import Plan
from napari_apprentice.errors import InputError, ModelError
from napari_apprentice.learn import weights
from napari_apprentice.learn.importing import from_bundle
from napari_apprentice.learn.network import build
from napari_apprentice.learn.normalise import normalise
from napari_apprentice.learn.trainer import fit

NETS = {
    "UNet": UNET,
    "BasicUNet": {"_target_": "monai.networks.nets.BasicUNet", "spatial_dims": 3, "in_channels": 1,
                  "out_channels": 2, "features": [4, 4, 6, 6, 8, 4]},
    "DynUNet": {"_target_": "DynUNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2,
                "kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [4, 6, 8],
                "norm_name": ["INSTANCE", {"affine": True}], "deep_supervision": True, "deep_supr_num": 1},
    "SegResNet": {"_target_": "SegResNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "init_filters": 8,
                  "blocks_down": [1, 1], "blocks_up": [1], "dropout_prob": 0.2},
    "SegResNetDS": {"_target_": "SegResNetDS", "spatial_dims": 3, "in_channels": 1, "out_channels": 2,
                    "init_filters": 4, "blocks_down": [1, 1], "norm": "instance", "dsdepth": 1},
    "AttentionUnet": {"_target_": "AttentionUnet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2,
                      "channels": [4, 6], "strides": [2]},
    "VNet": {"_target_": "VNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2},
    "UNETR": {"_target_": "UNETR", "in_channels": 1, "out_channels": 2, "img_size": [32, 32, 16], "feature_size": 4,
              "hidden_size": 24, "mlp_dim": 32, "num_heads": 2},
    "SwinUNETR": {"_target_": "SwinUNETR", "img_size": 32, "in_channels": 1, "out_channels": 2, "feature_size": 12},
}  # fmt: skip
CROP = {"_target_": "CropForegroundd", "keys": "image", "source_key": "image"}
Z_SCORE = {"_target_": "NormalizeIntensityd", "keys": "image"}
VALIDATED = ("preprocessing", "inferer", "postprocessing")
ROIS = {"BasicUNet": (16, 32, 16), "VNet": (16, 32, 16), "UNETR": (32, 32, 16), "SwinUNETR": (32, 64, 32)}
# Warnings of MONAI's own, of the networks' constructors and of copying MetaTensors.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


def of_monai(network):
    """What MONAI 1.6 is called with: it wants no img_size for SwinUNETR any more."""
    return {k: v for k, v in network.items() if (network["_target_"], k) != ("SwinUNETR", "img_size")}


def imported(tmp_path, configuration, described, net, orientation=""):
    folder = write(tmp_path / "bundle", configuration, described, net)
    model = read_bundle(configuration, described, orientation)
    found = from_bundle(model.plan, folder / "models" / "model.pt")
    weights.write(found.weights, tmp_path / "w.safetensors")
    plan = Plan.from_json(found.plan.to_json())
    network = build(plan)
    weights.load(network, tmp_path / "w.safetensors")
    return plan, network.eval()


@pytest.mark.parametrize("name", NETS)
def test_logits_are_monais(name, tmp_path):
    if "UNETR" in name:
        pytest.importorskip("einops")
    roi = ROIS.get(name, (16, 24, 8))
    theirs = trained(of_monai(NETS[name]))
    plan, ours = imported(tmp_path, config(NETS[name], roi=roi), metadata(), theirs)
    assert plan.patch == roi[::-1]
    assert plan.orientation == "RAS"
    seen = torch.randn(1, 1, *roi)
    with torch.no_grad():
        expected = theirs(seen)
        # By hand: RAS has axes (x, y, z) growing right, anterior, superior; a case (z, y, x) superior, posterior, left.
        found = ours(seen.permute(0, 1, 4, 3, 2).flip(3, 4))[0].flip(3, 4).permute(0, 1, 4, 3, 2)
    assert float((found - expected).abs().max()) < 1e-4 * max(1.0, float(expected.abs().max()))


def test_a_scan_is_prepared_as_monai_does(tmp_path):
    """From the file to the logits, MONAI's transforms against our reading: sides, axes and intensities."""
    from monai.bundle import ConfigParser

    before = [s for s in BEFORE if s["_target_"] != "Spacingd"]
    configuration = config(before=before, roi=(16, 24, 8))
    theirs = trained()
    plan, ours = imported(tmp_path, configuration, metadata(), theirs)
    assert plan.spacing == (0, 0, 0)
    stored = np.random.default_rng(0).integers(-200, 300, (24, 8, 16)).astype(np.int16)  # axes A, I, R of the file
    affine = np.array([[0, 0, 1.5, 4], [2.0, 0, 0, -7], [0, -2.5, 0, 9], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(stored, affine), tmp_path / "scan.nii.gz")
    pipeline = ConfigParser(configuration).get_parsed_content("preprocessing")
    seen = pipeline({"image": str(tmp_path / "scan.nii.gz")})["image"].as_tensor().float()
    geometry = Geometry.from_source(stored.shape, affine)
    case = geometry.to_canonical(stored)[None]
    with torch.no_grad():
        expected = theirs(seen[None])
        found = ours(normalise(case, plan, torch.device("cpu"))[None])[0]
    expected = expected.flip(2, 3).permute(0, 1, 4, 3, 2)
    assert float((found - expected).abs().max()) < 1e-4


def test_spacing_and_range_are_put_in_our_order():
    plan = read_bundle(config(), metadata()).plan
    assert plan.spacing == (2.5, 2.0, 1.5)
    assert plan.patch == (8, 24, 16)
    (how,) = plan.normalisation
    values = np.array([-1000.0, -57, 53.5, 164, 900])
    assert np.allclose((values.clip(how.low, how.high) - how.mean) / how.std, [0, 0, 0.5, 1, 1])


def test_channels_have_the_names_that_the_bundle_gives_all_of_them():
    two = config({**UNET, "in_channels": 2})
    assert read_bundle(two, metadata(channels=("T1", "FLAIR"))).channels == ("T1", "FLAIR")
    half = read_bundle(two, metadata(channels=("T1",)))
    assert (half.channels, len(half.plan.normalisation)) == ((), 2)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ({"_target_": "NormalizeIntensityd", "nonzero": "True", "channel_wise": "True"}, "zscore_nonzero"),
        ({"_target_": "NormalizeIntensityd", "nonzero": False}, "zscore"),
        ({"_target_": "NormalizeIntensityd", "subtrahend": 3, "divisor": 2}, "fixed"),
        ({"_target_": "ScaleIntensityd"}, "range"),
        ({"_target_": "ScaleIntensityRanged", "a_min": 0, "a_max": 10, "b_min": -1, "b_max": 1}, "fixed"),
    ],
)
def test_intensities_are_monais(step, kind):
    from monai.bundle import ConfigParser

    step = {**step, "keys": "image"}
    plan = read_bundle(config(before=[BEFORE[2], step]), metadata()).plan
    assert plan.normalisation[0].kind == kind
    voxels = np.random.default_rng(0).normal(20, 9, (1, 5, 6, 7)).astype(np.float32)
    voxels[0, :2] = 0
    transform = ConfigParser({"x": step}).get_parsed_content("x")
    expected = np.asarray(transform({"image": torch.from_numpy(voxels.copy())})["image"])
    found = normalise(voxels, plan, torch.device("cpu")).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("step", [Z_SCORE, {"_target_": "ScaleIntensityd", "keys": "image"}])
def test_intensities_are_measured_in_the_foreground_that_scans_are_cropped_to(step):
    """By the whole scan a head in much air would be brighter, and with less contrast, than what was learned."""
    from monai.bundle import ConfigParser

    voxels = np.zeros((1, 12, 14, 16), np.float32)
    voxels[0, 3:9, 2:9, 5:14] = np.random.default_rng(0).normal(200, 20, (6, 7, 9))
    transforms = ConfigParser({"x": {"_target_": "Compose", "transforms": [CROP, step]}}).get_parsed_content("x")
    expected = np.asarray(transforms({"image": torch.from_numpy(voxels.copy())})["image"])
    model = read_bundle(config(before=[BEFORE[2], CROP, step]), metadata())
    assert "above 0" in model.notes[0]
    found = normalise(voxels, model.plan, torch.device("cpu")).numpy()
    np.testing.assert_allclose(found[:, 3:9, 2:9, 5:14], expected, atol=1e-5)
    later = read_bundle(config(before=[BEFORE[2], step, CROP]), metadata()).plan  # measured before it is cropped
    assert not later.normalisation[0].kind.endswith("_inside")


@pytest.mark.parametrize("name", ["UNet", "DynUNet", "SegResNet"])
def test_it_can_be_tuned(name, tmp_path):
    plan, _ = imported(tmp_path, config(NETS[name], roi=(16, 16, 8)), metadata(), trained(NETS[name]))
    examples = [make_example(i, (8, 16, 16), (1,)) for i in (0, 1)]
    start, out = tmp_path / "w.safetensors", tmp_path / "tuned.safetensors"
    settings = TrainSettings(steps=2, validate_every=2, device="cpu")
    _, result = finish(fit(plan, examples, examples[:1], settings, start, out, tmp_path / "state", never))
    assert np.isfinite(result.loss)
    was, now = weights.read(start), weights.read(out)
    assert was.keys() == now.keys()
    assert any(not torch.equal(was[k], now[k]) for k in was)


def for_training(**changed):
    """The same as train.json has it: what is done to scans and outputs stands under validate."""
    of = config(**changed)
    return {k: v for k, v in of.items() if k not in VALIDATED} | {"validate": {k: of[k] for k in VALIDATED}}


def test_a_bundle_with_nothing_but_train_json_is_read():
    assert read_bundle(for_training(), metadata()).plan == read_bundle(config(), metadata()).plan


def _without(key, of):
    return {k: v for k, v in of.items() if k != key}


@pytest.mark.parametrize(
    ("configuration", "described", "says"),
    [
        (config({**UNET, "_target_": "scripts.networks.UNesT"}), metadata(), "program of its own"),
        (config({**UNET, "_target_": "os.system"}), metadata(), "program of its own"),
        (config({**UNET, "_target_": "monai.bundle.run"}), metadata(), None),
        (config({**UNET, "channels": "$[print(1)]"}), metadata(), "channels of the bundle.*piece of program"),
        (config({**UNET, "channels": "@nowhere"}), metadata(), "lacks 'nowhere'"),
        (config({**UNET, "channels": "@a"}, a="@b", b="@a"), metadata(), "refers to itself"),
        (config({**UNET, "spatial_dims": 2}), metadata(), "single pictures"),
        (config({**UNET, "out_channels": 1}), metadata(), "one for background"),
        (config({**UNET, "out_channels": 3}), metadata(), "output 2"),
        (config(after=[{"_target_": "Activationsd", "sigmoid": True}]), metadata(), "overlap"),
        (config(after=[{"_target_": "Activationsd", "sigmoid": [True, False]}]), metadata(), "overlap"),
        (config(after=[{"_target_": "AsDiscreted", "threshold": 0.5}]), metadata(), "overlap"),
        (for_training(after=[{"_target_": "Activationsd", "sigmoid": True}]), metadata(), "overlap"),
        (config(before=[*BEFORE, {"_target_": "HistogramNormalized"}]), metadata(), "HistogramNormalized"),
        (config(before=[BEFORE[2], {**CROP, "margin": 10}, Z_SCORE]), metadata(), "foreground of its own .*margin"),
        (config(before=[BEFORE[2], {**BEFORE[4], "b_max": 0}]), metadata(), "damaged"),
        (config(roi=(16, 24, -1)), metadata(), "as large as each scan"),
        (config(before=[*BEFORE, {"_target_": "ScaleIntensityd"}]), metadata(), "ScaleIntensityd; one"),
        (config(before=[{**BEFORE[3], "pixdim": "$[1, 1, 1] if @x else 2"}]), metadata(), "pixdim.*piece of program"),
        (_without("network_def", _without("network", config())), metadata(), "no network_def"),
        (_without("preprocessing", config()), metadata(), "no preprocessing"),
        (_without("inferer", config()), metadata(), "no sliding windows"),
        (config(), {}, "does not name what output 1"),
        (config(roi=(16, 24)), metadata(), "damaged"),
    ],
)
def test_what_is_not_known_is_refused_by_name(configuration, described, says):
    if says is None:  # it is no network of those that can be built; that is found out where networks are
        from napari_apprentice.learn.monai_nets import build_monai

        with pytest.raises(ModelError, match="'run' is not known"):
            build_monai(read_bundle(configuration, described).plan.architecture)
        return
    with pytest.raises(ModelError, match=says):
        read_bundle(configuration, described)


def test_orientation_is_asked_for_where_nothing_tells():
    plain = config(before=BEFORE[3:])
    with pytest.raises(InputError, match="stored"):
        read_bundle(plain, metadata())
    assert read_bundle(plain, metadata(), "LAS").plan.orientation == "LAS"


def test_a_literal_is_no_program():
    plan = read_bundle(config(roi=(8, 8, 8), patch="$(8, 16, 24)"), metadata()).plan
    assert plan.patch == (24, 16, 8)
    assert AFTER
