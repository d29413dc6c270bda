"""Small MONAI bundles, as the model zoo has them."""

import json

import torch

UNET = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 6, 8],
        "strides": [2, 2], "num_res_units": 1, "norm": "batch"}  # fmt: skip
BEFORE = [
    {"_target_": "LoadImaged", "keys": "@image_key"},
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 2.0, 2.5], "mode": "bilinear"},
    {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -57, "a_max": 164, "b_min": 0, "b_max": 1,
     "clip": True},
    {"_target_": "EnsureTyped", "keys": "image"},
]  # fmt: skip
AFTER = [{"_target_": "Activationsd", "keys": "pred", "softmax": True}, {"_target_": "AsDiscreted", "argmax": True}]


def config(network=UNET, before=BEFORE, after=AFTER, roi=(16, 24, 8), **more):
    return {
        "imports": ["$import glob"],
        "bundle_root": ".",
        "image_key": "image",
        "patch": list(roi),
        "device": "$torch.device('cpu')",
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": before},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": "@patch", "sw_batch_size": 4, "overlap": 0.5},
        "postprocessing": {"_target_": "Compose", "transforms": after},
        **more,
    }


def metadata(labels=("spleen",), channels=("image",)):
    def told(names):
        return {"channel_def": {str(i): n for i, n in enumerate(names)}}

    formats = {"inputs": {"image": told(channels)}, "outputs": {"pred": told(("background", *labels))}}
    return {"version": "0.2.0", "monai_version": "1.3.0", "network_data_format": formats}


def trained(network=UNET, seed=0):
    """MONAI's own network with weights, and statistics of its batch norms, that are not what it was born with."""
    from monai.bundle import ConfigParser

    net = ConfigParser({"net": network}).get_parsed_content("net")
    generator = torch.Generator().manual_seed(seed)
    for name, values in net.state_dict().items():
        if values.is_floating_point():
            values.copy_(torch.randn(values.shape, generator=generator) * 0.3)
            if "running_var" in name or ("adn" in name and "weight" in name):
                values.abs_().add_(0.3)
    return net.eval()


def write(folder, configuration, described, net, weights=None):
    """A bundle's folder."""
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(configuration))
    (folder / "configs" / "metadata.json").write_text(json.dumps(described))
    torch.save(net.state_dict() if weights is None else weights, folder / "models" / "model.pt")
    return folder
