import math

import pytest
import torch

from s2i.layers import (
    FoldedUNet,
    PatchCritic,
    ResidualBlock,
    UNet,
    Upsample,
    blur,
    make_norm,
    run_padded,
)


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
    with pytest.raises(ValueError, match="'layer'"):
        make_norm("layer", 8)


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


# -- U-Nets ----------------------------------------------------------------------------------------


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("depth", "parameters"), [(8, 54_413_955), (7, 41_828_995), (6, 29_244_035)]
)
def test_unet_has_the_parameters_of_the_paper(depth, parameters):
    with torch.device("meta"):
        assert count(UNet(depth=depth)) == parameters
        assert count(UNet(channels=1, depth=depth)) == parameters - 2_048
    assert f"{parameters:,}" in UNet.__doc__


def test_shifted_and_folded_have_the_parameters_they_state():
    with torch.device("meta"):
        assert count(UNet(is_shifted=True)) == 61_234_691
        assert count(FoldedUNet(channels=9, width=32)) == 2_041_939
    assert "61,234,691" in UNet.__doc__ and "2,041,939" in " ".join(FoldedUNet.__doc__.split())


UNETS = {
    "unet": lambda channels=5: UNet(channels=channels, width=2, depth=6),
    "shifted": lambda channels=5: UNet(channels=channels, width=2, depth=6, is_shifted=True),
    "folded": lambda channels=5: FoldedUNet(channels=channels, width=4),
}


@pytest.mark.parametrize("kind", UNETS)
def test_unets_answer_with_pictures_alone_as_in_a_batch(kind):
    network = UNETS[kind]().eval()
    batch = torch.randn(3, 5, 64, 128) * torch.tensor([0.2, 1, 5])[:, None, None, None]
    with torch.no_grad():
        answer = network(batch)
        assert torch.equal(network(batch), answer)
    assert answer.shape == (3, 3, 64, 128) and answer.abs().max() <= 1
    assert (answer[0] - answer[1]).abs().max() > 1e-3
    assert_alone_as_in_a_batch(network, batch)


@pytest.mark.parametrize("kind", UNETS)
def test_training_differs_by_dropout_alone(kind):
    network, batch = UNETS[kind](), torch.randn(2, 5, 64, 64)
    dropouts = [each for each in network.modules() if isinstance(each, torch.nn.Dropout)]
    assert len(dropouts) == {"unet": 1, "shifted": 4, "folded": 0}[kind]
    with torch.no_grad():
        served = network.eval()(batch)
        if dropouts:
            assert not torch.equal(network.train()(batch), served)
        for dropout in dropouts:
            dropout.p = 0.0
        torch.testing.assert_close(network.train()(batch), served)


@pytest.mark.parametrize(("depth", "dropouts"), [(8, 3), (7, 2), (6, 1)])
def test_dropout_lies_in_the_stages_above_the_innermost(depth, dropouts):
    ups = UNet(width=1, depth=depth).ups
    has_dropout = [any(isinstance(each, torch.nn.Dropout) for each in up) for up in ups]
    assert has_dropout == [False] + [True] * dropouts + [False] * (depth - 2 - dropouts)


@pytest.mark.parametrize("kind", ["unet", "shifted"])
def test_a_bottleneck_of_one_pixel_is_trained(kind):
    network = UNETS[kind](3).train()
    seen = []
    network.downs[-1].register_forward_hook(lambda *call: seen.append(call[2].shape[2:]))
    network(torch.randn(1, 3, 64, 64)).square().mean().backward()
    assert seen == [(1, 1)]
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert network.downs[-1][1].weight.grad.any()


@pytest.mark.parametrize("size", [(1, 1), (31, 64), (64, 64), (70, 33)])
def test_padding_is_at_the_right_and_below_and_is_cut_off(size):
    seen = []

    def network(x):
        seen.append(x)
        return 10 * x[:, :3]

    inputs = torch.rand(2, 4, *size)
    answer = run_padded(network, inputs, 32, value=0.5)
    (padded,) = seen
    assert torch.equal(answer, 10 * inputs[:, :3])
    assert all(side % 32 == 0 for side in padded.shape[2:])
    assert all(0 <= one - other < 32 for one, other in zip(padded.shape, inputs.shape, strict=True))
    assert torch.equal(padded[..., : size[0], : size[1]], inputs)
    assert (padded[..., size[0] :, :] == 0.5).all() and (padded[..., size[1] :] == 0.5).all()
    run_padded(network, inputs, 32)
    assert not seen[1][..., size[0] :, :].any() and not seen[1][..., size[1] :].any()


def test_sizes_that_fit_are_not_padded():
    network, inputs = UNETS["folded"]().eval(), torch.randn(1, 5, 64, 32)
    with torch.no_grad():
        assert torch.equal(run_padded(network, inputs, 32, value=7.0), network(inputs))
