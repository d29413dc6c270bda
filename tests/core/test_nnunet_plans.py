"""plans.json and dataset.json of nnU-Net v2, understood or refused by name."""

import sys
from copy import deepcopy
from pathlib import Path

import pytest

from napari_apprentice.core.nnunet_plans import read_plans
from napari_apprentice.core.plan import Plan
from napari_apprentice.errors import InputError, ModelError

PROPERTIES = {"mean": 50.0, "std": 70.0, "percentile_00_5": -100.0, "percentile_99_5": 250.0}
OLD = {
    "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 32, "unet_max_num_features": 100,
    "n_conv_per_stage_encoder": [2, 2, 2, 2], "n_conv_per_stage_decoder": [2, 2, 2],
    "num_pool_per_axis": [1, 2, 3], "pool_op_kernel_sizes": [[1, 1, 1], [1, 1, 2], [1, 2, 2], [2, 2, 2]],
    "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]], "batch_size": 2,
    "patch_size": [16, 32, 64], "spacing": [5.0, 1.5, 0.8], "normalization_schemes": ["CTNormalization"],
    "use_mask_for_norm": [False],
}  # fmt: skip
DATASET = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "ignore": 2}}


def plans(configurations=None, order=(0, 1, 2), reader="SimpleITKIO", **more):
    return {
        "image_reader_writer": reader,
        "transpose_forward": list(order),
        "configurations": configurations or {"3d_fullres": OLD},
        "foreground_intensity_properties_per_channel": {"0": PROPERTIES},
        **more,
    }


def test_plans_of_before_2_5_are_read():
    model = read_plans(plans(), DATASET, "3d_fullres")
    plan = model.plan
    assert (plan.features, plan.patch, plan.spacing) == ((32, 64, 100, 100), (16, 32, 64), (5.0, 1.5, 0.8))
    assert plan.strides == ((1, 1, 1), (1, 1, 2), (1, 2, 2), (2, 2, 2))
    assert plan.kernels[0] == (1, 3, 3)
    assert (plan.architecture.bias, plan.architecture.blocks, plan.architecture.residual) == (True, (2, 2, 2, 2), False)
    assert (model.labels, model.channels) == (("liver",), ("CT",))  # ignore is no output
    (how,) = plan.normalisation
    assert (how.kind, how.low, how.high, how.mean, how.std) == ("ct", -100.0, 250.0, 50.0, 70.0)
    assert Plan.from_json(plan.to_json()) == plan


def test_axes_are_put_in_our_order():
    plan = read_plans(plans(order=(1, 0, 2)), DATASET, "3d_fullres").plan
    assert plan.orientation == "PSL"
    assert plan.spacing == (1.5, 5.0, 0.8)  # its first axis is y
    assert plan.patch == (32, 16, 64)
    assert plan.strides[1:3] == ((1, 1, 2), (2, 1, 2))
    assert read_plans(plans(), DATASET, "3d_fullres", "RAS").plan.orientation == "SAR"
    assert read_plans(plans(reader="NibabelIOWithReorient"), DATASET, "3d_fullres").plan.orientation == "SAR"
    with pytest.raises(InputError, match="turns every scan to RAS"):
        read_plans(plans(reader="NibabelIOWithReorient"), DATASET, "3d_fullres", "LPS")
    with pytest.raises(InputError, match="no orientation"):
        read_plans(plans(), DATASET, "3d_fullres", "RRS")


def test_configurations_inherit():
    both = {"3d_fullres": OLD, "small": {"inherits_from": "3d_fullres", "batch_size": 7}}
    assert read_plans(plans(both), DATASET, "small").plan.batch == 7
    circle = {"a": {"inherits_from": "b"}, "b": {"inherits_from": "a"}}
    with pytest.raises(ModelError, match="circle"):
        read_plans(plans(circle), DATASET, "a")


def test_a_2d_plan_keeps_the_spacing_across_slices():
    sys.path.insert(0, str(Path(__file__).parents[1] / "learn"))
    try:
        from nnunet_models import DATASETS, PLANS
    finally:
        sys.path.pop(0)
    plan = read_plans(PLANS["plain2d"], DATASETS["plain2d"], "2d").plan
    assert (plan.spacing, plan.patch, plan.dimensions) == ((0.0, 1.0, 1.5), (1, 16, 12), 2)
    sideways = {**PLANS["plain2d"], "transpose_forward": [2, 0, 1]}
    with pytest.raises(ModelError, match="not axial"):
        read_plans(sideways, DATASETS["plain2d"], "2d")


@pytest.mark.parametrize(
    ("name", "masked", "kind", "std"),
    [
        ("ZScoreNormalization", False, "zscore_inside", 1.0),
        ("ZScoreNormalization", True, "zscore_where", 1.0),
        ("NoNormalization", False, "fixed", 1.0),
        ("RescaleTo01Normalization", False, "range_inside", 1.0),
        ("RGBTo01Normalization", False, "fixed", 255.0),
    ],
)
def test_every_normalisation_of_nnunet(name, masked, kind, std):
    settings = {**OLD, "normalization_schemes": [name], "use_mask_for_norm": [masked]}
    (how,) = read_plans(plans({"3d_fullres": settings}), DATASET, "3d_fullres").plan.normalisation
    assert (how.kind, how.std) == (kind, std)


def _old(**changes):
    return plans({"3d_fullres": {**OLD, **changes}})


def _new(name="ResidualEncoderUNet", **changes):
    given = {
        "n_stages": 2, "features_per_stage": [4, 8], "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * 2, "strides": [[1, 1, 1], [2, 2, 2]], "n_blocks_per_stage": [1, 1],
        "n_conv_per_stage_decoder": [1], "norm_op": "torch.nn.InstanceNorm3d", "nonlin": "torch.nn.LeakyReLU",
    }  # fmt: skip
    architecture = {"network_class_name": f"x.y.{name}", "arch_kwargs": {**given, **changes}}
    return plans({"3d_fullres": {**OLD, "architecture": architecture}})


@pytest.mark.parametrize(
    ("described", "dataset", "says"),
    [
        (_old(previous_stage="3d_lowres"), DATASET, "cascade"),
        (_old(UNet_class_name="MyNet"), DATASET, "MyNet of nnU-Net cannot be built"),
        (_old(normalization_schemes=["Mine"]), DATASET, "normalisation Mine"),
        (_old(normalization_schemes=["CTNormalization"] * 2), DATASET, "normalises 2 channels"),
        (_old(patch_size=[16, 32]), DATASET, "damaged or of a form"),
        (_old(spacing="x"), DATASET, "damaged or of a form"),
        (_old(spacing=[1.0, 0.0, 1.0]), DATASET, r"a size of \[1.0, 0.0, 1.0\]"),
        (_old(spacing=[1.0, float("nan"), 1.0]), DATASET, "a size of"),
        (_old(patch_size=[16, -16, 16]), DATASET, "a size of"),
        (_old(conv_kernel_sizes=[[3, 3, 3]]), DATASET, "4 stages, but not as many"),
        (_new("UMambaBot"), DATASET, "UMambaBot of nnU-Net cannot be built"),
        (_new(block="a.b.BottleneckD"), DATASET, "BottleneckD"),
        (_new(conv_op="torch.nn.Conv1d"), DATASET, "Conv1d"),
        (_new(norm_op="torch.nn.GroupNorm"), DATASET, "GroupNorm"),
        (_new(nonlin="torch.nn.GELU"), DATASET, "GELU"),
        (_new(squeeze_excitation=True), DATASET, "squeeze_excitation"),
        ({**plans(), "configurations": {}}, DATASET, "no configuration"),
        (plans({"2d": OLD}), DATASET, "no configuration '3d_fullres'; they have 2d"),
        ({}, DATASET, "lacks 'configurations'"),
        (plans(), {"labels": DATASET["labels"]}, "lacks 'modality'"),
        (plans(), {**DATASET, "labels": {"background": 0, "whole": [1, 2], "core": [2]}}, "regions"),
        (plans(), {**DATASET, "labels": {"background": 0, "liver": 3}}, r"numbered \[0, 3\]"),
        (plans(), {**DATASET, "labels": {"background": 0}}, "numbered"),
        (plans(), {**DATASET, "labels": 7}, "damaged or of a form"),
    ],
)
def test_what_is_not_known_is_refused_by_name(described, dataset, says):
    with pytest.raises(ModelError, match=says):
        read_plans(deepcopy(described), dataset, "3d_fullres")


def test_residual_networks_are_understood():
    how = read_plans(_new(), DATASET, "3d_fullres").plan.architecture
    assert (how.residual, how.blocks, how.decoder, how.norm, how.affine, how.bias) == (
        True, (1, 1), (1,), "instance", False, False,
    )  # fmt: skip
