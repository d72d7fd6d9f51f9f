import math
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from s2i.errors import S2IError
from train import losses
from train.losses import Perceptual

FILES = {
    "squeezenet": ("squeezenet1_1_features.safetensors", (1, 4, 7, 9, 10, 11, 12), (4, 7, 10, 12)),
    "vgg19": ("vgg19_relu3_4_features.safetensors", (1, 6, 11, 17), (8, 17)),
    "vgg19_distilled": (
        "vgg19_16x_distilled_relu5_1.safetensors",
        (1, 6, 11, 20, 29),
        (8, 17, 26),
    ),
}


@pytest.fixture
def distilled(tmp_path):
    """A file of untrained weights for the smallest network, with a head that is to be ignored."""
    torch.manual_seed(0)
    state = {key: value.half() for key, value in losses._distilled()[:29].state_dict().items()}
    path = tmp_path / "distilled.safetensors"
    save_file(state | {"aux11.bias": torch.zeros(64)}, path)
    return str(path)


def pictures(seed: int = 0, size: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_distances_are_zero_for_equal_pictures_and_only_the_output_gets_gradients(distilled):
    perceptual = Perceptual("vgg19_distilled", weights=distilled)
    output, target = pictures(0).requires_grad_(), pictures(1).requires_grad_()
    assert perceptual(target, target).item() == 0
    assert perceptual.style(target, target).item() == 0
    feature, style = perceptual(output, target), perceptual.style(output, target)
    first, second = (perceptual.look(each, has_style=True) for each in (output, target))
    torch.testing.assert_close(feature, losses.mean_feature_distance(first[0], second[0]))
    torch.testing.assert_close(style, losses.style_distance(first[1], second[1]))
    assert 0 < feature < 2 and style > 0
    (feature + style).backward()
    assert output.grad.isfinite().all() and output.grad.abs().sum() > 0
    assert target.grad is None
    assert not any(parameter.requires_grad for parameter in perceptual.parameters())
    assert all(parameter.dtype == torch.float32 for parameter in perceptual.parameters())
    assert perceptual.train().training is False


def test_feature_distance_is_the_mean_over_taps_of_unit_vectors_apart(distilled):
    perceptual = Perceptual("vgg19_distilled", weights=distilled)
    output, target = pictures(0), pictures(1)
    expected = 0
    for one, other in zip(perceptual.features(output), perceptual.features(target), strict=True):
        one = torch.nn.functional.normalize(one, dim=1)
        other = torch.nn.functional.normalize(other, dim=1)
        expected += (one - other).square().sum(1).mean() / len(perceptual.taps)
    torch.testing.assert_close(perceptual(output, target), expected, rtol=1e-3, atol=1e-6)


def test_pictures_are_normalized_as_imagenet_is(distilled):
    perceptual = Perceptual("vgg19_distilled", weights=distilled)
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 8, 8) * 2 - 1
    torch.testing.assert_close(grey * perceptual.scale + perceptual.shift, torch.zeros(1, 3, 8, 8))
    white = torch.ones(1, 3, 1, 1) * perceptual.scale + perceptual.shift
    torch.testing.assert_close(white[0, 0, 0, 0].item(), (1 - 0.485) / 0.229, rtol=1e-5, atol=0)


def test_taps_are_not_changed_by_the_layer_behind_them(distilled):
    perceptual = Perceptual("vgg19_distilled", weights=distilled)
    assert not any(getattr(layer, "inplace", False) for layer in perceptual.layers)


def test_a_black_picture_has_finite_gradients(distilled):
    perceptual = Perceptual("vgg19_distilled", weights=distilled)
    for parameter in perceptual.parameters():
        parameter.data.abs_().neg_()  # every feature behind the first ReLU is 0
    output = torch.ones(1, 3, 32, 32, requires_grad=True)
    target = pictures(1)[:1]
    (perceptual(output, target) + perceptual.style(output, target)).backward()
    assert output.grad.isfinite().all()


def test_a_file_that_ends_early_is_used_as_far_as_it_goes(tmp_path):
    path = tmp_path / "short.safetensors"
    save_file(losses._distilled()[:6].state_dict(), path)
    perceptual = Perceptual("vgg19_distilled", weights=str(path))
    assert perceptual.taps == (1, 6) and perceptual.style_taps == ()
    assert len(perceptual.layers) == 7
    save_file(losses._distilled()[:13].state_dict(), path)
    perceptual = Perceptual("vgg19_distilled", weights=str(path))
    assert perceptual.taps == (1, 6, 11, 13) and perceptual.style_taps == (8,)


def test_none_is_no_distance_at_all():
    perceptual = Perceptual("none")
    assert perceptual.features(pictures()) == []
    assert perceptual(pictures(0), pictures(1)).item() == 0
    assert perceptual.style(pictures(0), pictures(1)).item() == 0


def test_what_is_missing_or_wrong_is_said_in_one_sentence(tmp_path, distilled, monkeypatch):
    with pytest.raises(S2IError, match="no perceptual network 'vgg7'"):
        Perceptual("vgg7")
    with pytest.raises(S2IError, match="was not found"):
        Perceptual("vgg19", weights=str(tmp_path / "no.safetensors"))
    with pytest.raises(S2IError, match="give its safetensors file"):
        Perceptual("vgg19_distilled")
    with pytest.raises(S2IError, match="does not hold features of 'vgg19'"):
        Perceptual("vgg19", weights=distilled)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(Path(distilled).read_bytes()[:1000])
    with pytest.raises(S2IError, match="could not be read as safetensors"):
        Perceptual("vgg19", weights=str(broken))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(S2IError, match=r"downloaded \(no route to host\).*give a safetensors file"):
        Perceptual("squeezenet")


@pytest.mark.parametrize("name", ["vgg16", "vgg19", "squeezenet", "inception_v4"])
def test_a_whole_network_loads_from_the_users_cache(name, monkeypatch):
    """With a cache that answers with untrained weights in the shape of the real ones."""
    backbone = losses.BACKBONES[name]

    def cached():
        layers = backbone.build()
        return {f"features.{key}": value for key, value in layers.state_dict().items()} | {
            "classifier.0.bias": torch.zeros(3)
        }

    monkeypatch.setitem(losses.BACKBONES, name, losses.dataclasses.replace(backbone, fetch=cached))
    perceptual = Perceptual(name)
    assert perceptual.taps == backbone.taps and perceptual.style_taps == backbone.style_taps
    output, target = pictures(0, 80)[:1], pictures(1, 80)[:1]
    assert perceptual(output, target) > 0 and perceptual.style(output, target) > 0


@pytest.mark.parametrize("name", FILES)
def test_trained_files_load(name):
    folder = os.environ.get("S2I_PERCEPTUAL")
    if not folder:
        pytest.skip("S2I_PERCEPTUAL names no folder of trained perceptual networks")
    file, taps, style_taps = FILES[name]
    perceptual = Perceptual(name, weights=str(Path(folder) / file))
    assert (perceptual.taps, perceptual.style_taps) == (taps, style_taps)
    ramp = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    near, far = (perceptual(ramp + level * noise, ramp).item() for level in (0.02, 0.3))
    assert 0 < near < far < 2


def test_adversarial_losses_by_hand():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, -2.0])
    critic, generator = losses.GAN["lsgan"]
    assert critic(real, fake).item() == ((0 + 4) / 2 + (0 + 4) / 2) / 2
    assert generator(fake).item() == (1 + 9) / 2
    critic, generator = losses.GAN["hinge"]
    assert critic(real - 0.5, fake).item() == (0.5 + 0) / 2 + (1 + 0) / 2
    assert generator(fake).item() == 1


def test_cross_entropy_by_hand():
    real, fake = torch.tensor([0.0, 3.0]), torch.tensor([0.0, -2.0])
    critic, generator = losses.GAN["bce"]
    of_real = (math.log(2) - math.log(sigmoid(3))) / 2
    of_fake = (math.log(2) - math.log(1 - sigmoid(-2))) / 2
    assert critic(real, fake).item() == pytest.approx((of_real + of_fake) / 2, rel=1e-6)
    assert generator(fake).item() == pytest.approx(
        (math.log(2) - math.log(sigmoid(-2))) / 2, rel=1e-6
    )
    assert generator(torch.tensor([-200.0])).item() == pytest.approx(200)


def sigmoid(logit):
    return 1 / (1 + math.exp(-logit))


@pytest.mark.parametrize("gan", losses.GAN)
def test_a_critic_that_is_sure_of_a_fake_teaches_most(gan):
    """The term does not saturate: a sure critic's gradient is no smaller than a fooled one's."""
    critic, generator = losses.GAN[gan]

    def slope(loss, logit):
        logit = torch.tensor([float(logit)], requires_grad=True)
        return torch.autograd.grad(loss(logit), logit)[0].item()

    assert slope(generator, -8) <= slope(generator, -2) <= slope(generator, 0.5) < 0
    assert slope(generator, -8) <= -0.99
    zero = torch.zeros(1)
    assert (
        slope(lambda real: critic(real, zero), -2) < 0 < slope(lambda fake: critic(zero, fake), 2)
    )


@pytest.mark.parametrize("power", [1, 2])
def test_total_variation_smooths_the_output(power):
    output = pictures(0, 8).requires_grad_()
    rough = losses.total_variation(output, power=power)
    rough.backward()
    assert output.grad.isfinite().all() and (output.grad != 0).float().mean() > 0.3
    smoother = output.detach() - 0.5 * output.grad
    assert losses.total_variation(smoother, power=power) < rough
    assert losses.total_variation(torch.ones(1, 3, 4, 4), power=power) == 0


def test_squared_total_variation_by_hand():
    steps = torch.tensor([[0.0, 1.0], [0.0, 3.0]]).view(1, 1, 2, 2)
    assert losses.total_variation(steps, power=2).item() == (1 + 9) / 2 + (0 + 4) / 2
    large = steps.repeat(2, 3, 1, 1)
    assert losses.total_variation(large, power=2) == losses.total_variation(steps, power=2)


def test_r1_of_a_linear_critic_is_its_squared_weight():
    weight = torch.tensor([1.0, -2.0, 2.0], requires_grad=True)
    real = torch.rand(4, 3, 1, 1)
    penalty = losses.r1_penalty(lambda x: (x * weight.view(1, 3, 1, 1)).sum(1), real)
    assert penalty.item() == pytest.approx(9)
    penalty.backward()
    torch.testing.assert_close(weight.grad, 2 * weight.detach())
    assert not real.requires_grad


def test_total_variation_gram_and_matching_by_hand():
    steps = torch.tensor([[0.0, 1.0], [0.0, 3.0]]).view(1, 1, 2, 2)
    assert losses.total_variation(steps).item() == (1 + 3) / 2 + (0 + 2) / 2
    features = torch.tensor([[1.0, 2.0], [3.0, 0.0]]).view(1, 2, 1, 2)
    torch.testing.assert_close(losses.gram(features), torch.tensor([[[5.0, 3], [3, 9]]]) / 4)
    fake = [torch.zeros(2, 1, requires_grad=True), torch.ones(1, requires_grad=True)]
    real = [torch.ones(2, 1, requires_grad=True), torch.tensor([4.0], requires_grad=True)]
    matched = losses.feature_matching(fake, real)
    assert matched.item() == 1 + 3
    matched.backward()
    assert real[0].grad is None and fake[0].grad is not None


def test_paper_and_ink_count_by_their_own_mass():
    target = torch.zeros(1, 1, 10, 10)
    target[..., 0] = 1
    assert [float(each) for each in losses.split_l1(0 * target, target)] == [0, 1]
    assert [float(each) for each in losses.split_l1(0 * target + 1, target)] == [1, 0]
    few, many = (torch.zeros(1, 1, 100, 100) for _ in range(2))
    few[..., :2], many[..., :50] = 1, 1
    half = [losses.split_l1(0.5 * page, page)[1] for page in (few, many)]
    torch.testing.assert_close(half[0], half[1])  # a few lines count as much as a dark page
    blank = torch.zeros(1, 1, 8, 8)
    drawn = torch.rand(1, 1, 8, 8, requires_grad=True)
    on_paper, on_ink = losses.split_l1(drawn, blank)
    torch.testing.assert_close(on_paper, drawn.mean())
    assert on_ink == 0
    (on_paper + on_ink).backward()
    assert drawn.grad.isfinite().all()


def test_dice_is_that_of_hard_masks_and_zero_for_equal_soft_ones():
    masks = torch.rand(3, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    assert losses.dice(masks, masks) == 0
    first, second = (masks > 0.4).float(), (masks > 0.7).float()
    wanted = [
        1 - 2 * float((a * b).sum() / (a + b).sum()) for a, b in zip(first, second, strict=True)
    ]
    assert losses.dice(first, second).item() == pytest.approx(sum(wanted) / 3)
    assert losses.dice(0 * masks, 0 * masks) == 0
