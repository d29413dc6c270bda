import pytest
import torch
from monai.losses import DiceCELoss

from napari_apprentice.learn.loss import FIRST_OPEN, IGNORE, loss, single


def case(seed=0, rows=3, shape=(2, 6, 8, 8)):
    torch.manual_seed(seed)
    logits = torch.randn(shape[0], rows, *shape[1:], requires_grad=True)
    target = torch.randint(0, rows, shape).to(torch.uint8)
    return logits, target, torch.ones(shape)


def test_unknown_voxels_get_a_gradient_of_exactly_zero():
    logits, target, weight = case()
    hidden = torch.rand(target.shape) < 0.5
    target[hidden] = IGNORE
    single(logits, target, weight).backward()
    gradient = logits.grad.movedim(1, -1)
    assert (gradient[hidden] == 0).all()
    assert (gradient[~hidden] != 0).any()


def test_what_lies_under_unknown_voxels_does_not_matter_even_when_it_is_not_a_number():
    logits, target, weight = case()
    target[:, :3] = IGNORE
    spoilt = logits.detach().clone()
    spoilt[:, :, :3] = float("nan")
    spoilt.requires_grad_()
    value = single(spoilt, target, weight)
    value.backward()
    assert value.item() == single(logits, target, weight).item()
    assert torch.isfinite(spoilt.grad).all()


def test_a_batch_with_nothing_known_is_finite_and_teaches_nothing():
    logits, target, weight = case()
    target[:] = IGNORE
    value = loss([logits], target, weight)
    value.backward()
    assert value.item() == pytest.approx(0)
    assert (logits.grad == 0).all()


def test_with_everything_known_it_is_the_dense_loss():
    logits, target, weight = case()
    dense = DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5
    )
    assert single(logits, target, weight).item() == pytest.approx(
        dense(logits, target[:, None].long()).item(), abs=1e-5
    )


def test_only_known_voxels_count_in_the_mean():
    logits, target, weight = case(shape=(1, 4, 8, 8))
    hidden = target.clone()
    hidden[:, 2:] = IGNORE
    assert single(logits, hidden, weight).item() == pytest.approx(
        single(logits[:, :, :2], target[:, :2], weight[:, :2]).item(), abs=1e-6
    )


def test_what_may_be_a_newer_label_is_not_taught_to_be_background():
    """Rows 0 and 2 count as one where a voxel is open; row 2 learns nothing from it, row 1 that it is not there."""
    logits, target, weight = case()
    target[:] = 0
    hidden = torch.rand(target.shape) < 0.5
    left_open = torch.where(hidden, FIRST_OPEN, 0).to(torch.uint8)
    rows = [torch.tensor([0, 2])]
    merged = torch.stack([logits[:, [0, 2]].logsumexp(1), logits[:, 1]], 1)
    alone = loss([logits], torch.full_like(target, FIRST_OPEN), weight, rows)
    # Dice of row 2 without any voxel of its own is 0, and the mean is over two rows instead of one
    entropy, dice = parts_of(merged, target, weight)
    assert alone.item() == pytest.approx(entropy + dice / 2, rel=1e-5)
    loss([logits], left_open, weight, rows).backward()
    gradient = logits.grad.movedim(1, -1)
    share = logits.detach()[:, [0, 2]].softmax(1).movedim(1, -1)
    apart = gradient[hidden][:, 0] * share[hidden][:, 1] - gradient[hidden][:, 2] * share[hidden][:, 0]
    assert apart.abs().max() < 1e-8  # nothing says which of the two it is
    assert (gradient[hidden][:, 1] > 0).all()


def parts_of(logits, target, weight):
    entropy = torch.nn.functional.cross_entropy(logits, target.long()).item()
    return entropy, single(logits, target, weight).item() - entropy


def test_edited_voxels_weigh_more_in_cross_entropy():
    logits, target, weight = case()
    heavy = weight.clone()
    heavy[:, 0] = 2
    single(logits, target, heavy).backward()
    with_weight = logits.grad.clone()
    logits.grad = None
    single(logits, target, weight).backward()
    assert with_weight[:, :, 0].abs().sum() > logits.grad[:, :, 0].abs().sum()


def test_lower_maps_count_half_each():
    logits, target, weight = case(shape=(1, 8, 8, 8))
    low = torch.randn(1, 3, 4, 4, 4)
    both = loss([logits, low], target, weight)
    alone = single(logits, target, weight)
    below = single(low, target[:, 1::2, 1::2, 1::2], weight[:, 1::2, 1::2, 1::2])
    assert both.item() == pytest.approx((alone + 0.5 * below).item() / 1.5, abs=1e-6)
