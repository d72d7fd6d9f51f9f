import math

import pytest
import torch

from s2i.layers import PatchCritic, ResidualBlock, Upsample, blur, make_norm


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def assert_alone_as_in_a_batch(network, batch):
    with torch.no_grad():
        together = network(batch)
        alone = torch.cat([network(batch[index : index + 1]) for index in range(len(batch))])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_critic_has_the_parameters_of_the_paper():
    count = sum(parameter.numel() for parameter in PatchCritic().parameters())
    assert count == 2_763_776


@pytest.mark.parametrize(("size_px", "logits_px"), [(64, 6), (128, 14), (256, 30)])
def test_critic_judges_patches(size_px, logits_px):
    critic = PatchCritic(channels=5, width=4)
    with torch.no_grad():
        assert critic(torch.zeros(2, 5, size_px, size_px)).shape == (2, 1, logits_px, logits_px)


def test_critic_sees_patches_of_70_px():
    critic = PatchCritic(width=4).eval()
    picture = torch.zeros(1, 3, 128, 128, requires_grad=True)
    critic(picture)[0, 0, 7, 7].backward()
    seen = picture.grad.abs().sum(dim=1)[0] > 0
    assert seen.any(dim=1).sum() == seen.any(dim=0).sum() == 70


def test_critic_is_spectrally_normal():
    critic = PatchCritic(width=4)
    for parameter in critic.parameters():
        parameter.data *= 50
    with torch.no_grad():
        for _ in range(30):  # each pass in training mode is a step of the power iteration
            critic(torch.zeros(1, 3, 32, 32))
    convolutions = [stage for stage in critic.eval().stages if hasattr(stage, "weight")]
    assert len(convolutions) == 5
    for convolution in convolutions:
        largest = torch.linalg.matrix_norm(convolution.weight.flatten(1), ord=2).item()
        assert convolution.bias is None and largest == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("kind", ["instance", "group"])
@pytest.mark.parametrize("channels", [4, 6, 7, 24])
def test_norms_do_not_depend_on_the_batch(kind, channels):
    norm = make_norm(kind, channels)  # as in training
    batch = torch.randn(3, channels, 9, 8) * torch.tensor([1.0, 5, 20])[:, None, None, None]
    assert_alone_as_in_a_batch(norm, batch)


def test_group_norm_keeps_what_instance_norm_forgets():
    flat = torch.zeros(1, 16, 8, 8)
    flat[:, ::2] = 1
    assert make_norm("instance", 16)(flat).abs().max() == 0
    assert make_norm("group", 16)(flat)[0, :2, 0, 0].tolist() == pytest.approx([1, -1], abs=1e-3)


def test_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="'batch'"):
        make_norm("batch", 8)


@pytest.mark.parametrize("size", [(3, 3), (7, 20)])
def test_residual_block_keeps_the_shape_and_adds(size):
    block = ResidualBlock(6)
    x = torch.randn(2, 6, *size)
    with torch.no_grad():
        assert block(x).shape == x.shape
        torch.testing.assert_close(block(x) - block.branch(x), x)
    assert_alone_as_in_a_batch(block, x)


def test_upsample_doubles():
    assert Upsample()(torch.ones(1, 2, 3, 5)).shape == (1, 2, 6, 10)


def test_blur_keeps_flat_areas_and_spreads_a_point_as_a_gaussian():
    flat = torch.full((1, 2, 9, 12), 0.3)
    torch.testing.assert_close(blur(flat, 1.5), flat)
    point = torch.zeros(1, 1, 21, 21)
    point[..., 10, 10] = 1
    spread = blur(point, 1.5)[0, 0]
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    assert spread[10, 13] / spread[10, 10] == pytest.approx(math.exp(-9 / (2 * 1.5**2)), rel=1e-4)
