"""Small models of nnU-Net v2: plans as its planner writes them, and model folders as its trainer leaves them."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

FOLDER = Path(__file__).parent / "nnunet"


def _architecture(name, dimensions, kernels, strides, blocks, features=(4, 6, 8), **changes):
    residual = "Residual" in name
    given = {
        "n_stages": len(features),
        "features_per_stage": list(features),
        "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
        "kernel_sizes": kernels,
        "strides": strides,
        "n_blocks_per_stage" if residual else "n_conv_per_stage": blocks,
        "n_conv_per_stage_decoder": [1] * (len(features) - 1) if residual else [2] * (len(features) - 1),
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
        "arch_kwargs": {**given, **changes},
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def _plans(configuration, architecture, patch, spacing, schemes, order=(0, 1, 2), masked=None, reader="SimpleITKIO"):
    settings = {
        "data_identifier": f"nnUNetPlans_{configuration}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": [float(p) for p in patch],
        "spacing": spacing,
        "normalization_schemes": schemes,
        "use_mask_for_norm": masked or [False] * len(schemes),
        "architecture": architecture,
        "batch_dice": False,
    }
    properties = {"max": 900.0, "mean": 50.0, "median": 40.0, "min": -900.0, "percentile_00_5": -100.0,
                  "percentile_99_5": 250.0, "std": 70.0}  # fmt: skip
    return {
        "dataset_name": "Dataset004_Small",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": reader,
        "transpose_forward": list(order),
        "transpose_backward": [list(order).index(i) for i in range(3)],
        "configurations": {configuration: settings},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(i): properties for i in range(len(schemes))},
    }


def _dataset(channels, labels):
    return {
        "channel_names": {str(i): n for i, n in enumerate(channels)},
        "labels": {"background": 0, **{n: i for i, n in enumerate(labels, 1)}},
        "numTraining": 4,
        "file_ending": ".nii.gz",
    }


_THIN = ([[1, 3, 3], [3, 3, 3], [3, 3, 3]], [[1, 1, 1], [1, 2, 2], [2, 2, 2]])
_EVEN = ([[3, 3, 3]] * 3, [[1, 1, 1], [2, 2, 2], [2, 2, 2]])
_FLAT = ([[3, 3]] * 3, [[1, 1], [2, 2], [2, 2]])

PLANS = {
    "plain3d": _plans(
        "3d_fullres", _architecture("PlainConvUNet", 3, *_THIN, [2, 2, 2]), [8, 16, 12], [3.0, 1.0, 1.5],
        ["CTNormalization", "ZScoreNormalization"],
    ),
    "plain2d": _plans(
        "2d", _architecture("PlainConvUNet", 2, *_FLAT, [2, 2, 2]), [16, 12], [1.0, 1.5], ["ZScoreNormalization"]
    ),
    "residual3d": _plans(
        "3d_fullres", _architecture("ResidualEncoderUNet", 3, *_EVEN, [1, 3, 2]), [8, 12, 8], [1.0, 1.0, 1.0],
        ["ZScoreNormalization"], order=(2, 0, 1), masked=[True],
    ),
    "residual2d": _plans(
        "2d", _architecture("ResidualEncoderUNet", 2, *_FLAT, [1, 2, 2]), [12, 16], [1.0, 1.0], ["NoNormalization"]
    ),
    "batchnorm3d": _plans(
        "3d_fullres",
        _architecture(
            "PlainConvUNet", 3, *_EVEN, [1, 2, 1], nonlin="torch.nn.ReLU",
            norm_op="torch.nn.modules.batchnorm.BatchNorm3d", norm_op_kwargs={"eps": 1e-5, "affine": True},
            dropout_op="torch.nn.modules.dropout.Dropout3d", dropout_op_kwargs={"p": 0.3},
        ),
        [8, 8, 12], [1.0, 1.0, 1.0], ["RescaleTo01Normalization"], reader="NibabelIOWithReorient",
    ),
}  # fmt: skip
DATASETS = {
    "plain3d": _dataset(["CT", "PET"], ["liver", "tumour"]),
    "plain2d": _dataset(["T2"], ["one", "two", "three"]),
    "residual3d": _dataset(["FLAIR"], ["one", "two"]),
    "residual2d": _dataset(["R"], ["one"]),
    "batchnorm3d": _dataset(["T1"], ["one", "two"]),
}


def configuration_of(plans):
    return next(iter(plans["configurations"]))


class Stored:
    """A fixture: plans, dataset, weights under the library's names, a patch and its logits."""

    def __init__(self, name):
        with safe_open(FOLDER / f"{name}.safetensors", "pt") as file:
            told = file.metadata()
            flat = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - it is no dictionary
        self.plans, self.dataset = json.loads(told["plans"]), json.loads(told["dataset"])
        self.configuration = configuration_of(self.plans)
        self.weights = {k.removeprefix("weights/"): v for k, v in flat.items() if k.startswith("weights/")}
        self.weights |= {other: self.weights[name] for other, name in json.loads(told["aliases"]).items()}
        self.seen, self.logits, self.lower = flat["seen"], flat["logits"], flat["lower"]

    def checkpoint(self, mirror=None):
        """As nnU-Net's trainer saves it."""
        dimensions = self.seen.ndim - 2
        return {
            "network_weights": self.weights,
            "optimizer_state": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.01}]},
            "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float64(0.5)], "ema_fg_dice": [np.float32(0.25)], "lrs": [0.01]},
            "_best_ema": np.float64(0.5),
            "current_epoch": 1000,
            "init_args": {
                "plans": self.plans, "configuration": self.configuration, "fold": 0, "dataset_json": self.dataset,
                "device": torch.device("cuda"),
            },
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": tuple(range(dimensions)) if mirror is None else mirror,
        }  # fmt: skip

    def write(self, folder, mirror=None, fold="fold_0"):
        """A trainer's folder."""
        path = folder / f"nnUNetTrainer__nnUNetPlans__{self.configuration}"
        (path / fold).mkdir(parents=True, exist_ok=True)
        (path / "plans.json").write_text(json.dumps(self.plans))
        (path / "dataset.json").write_text(json.dumps(self.dataset))
        torch.save(self.checkpoint(mirror), path / fold / "checkpoint_final.pth")
        return path
