import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage.color
import skimage.metrics
import torch

from s2i import metrics
from s2i.errors import S2IError

# Sharma, Wu, Dalal 2005, table 1: L1 a1 b1, L2 a2 b2, CIEDE2000.
SHARMA = """
50.0000 2.6772 -79.7751 50.0000 0.0000 -82.7485 2.0425
50.0000 3.1571 -77.2803 50.0000 0.0000 -82.7485 2.8615
50.0000 2.8361 -74.0200 50.0000 0.0000 -82.7485 3.4412
50.0000 -1.3802 -84.2814 50.0000 0.0000 -82.7485 1.0000
50.0000 -1.1848 -84.8006 50.0000 0.0000 -82.7485 1.0000
50.0000 -0.9009 -85.5211 50.0000 0.0000 -82.7485 1.0000
50.0000 0.0000 0.0000 50.0000 -1.0000 2.0000 2.3669
50.0000 -1.0000 2.0000 50.0000 0.0000 0.0000 2.3669
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0009 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0010 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0011 7.2195
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0012 7.2195
50.0000 -0.0010 2.4900 50.0000 0.0009 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0010 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0011 -2.4900 4.7461
50.0000 2.5000 0.0000 50.0000 0.0000 -2.5000 4.3065
50.0000 2.5000 0.0000 73.0000 25.0000 -18.0000 27.1492
50.0000 2.5000 0.0000 61.0000 -5.0000 29.0000 22.8977
50.0000 2.5000 0.0000 56.0000 -27.0000 -3.0000 31.9030
50.0000 2.5000 0.0000 58.0000 24.0000 15.0000 19.4535
50.0000 2.5000 0.0000 50.0000 3.1736 0.5854 1.0000
50.0000 2.5000 0.0000 50.0000 3.2972 0.0000 1.0000
50.0000 2.5000 0.0000 50.0000 1.8634 0.5757 1.0000
50.0000 2.5000 0.0000 50.0000 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def perceptual():
    folder = os.environ.get("S2I_PERCEPTUAL")
    if not folder or not Path(folder).is_dir():
        pytest.skip("S2I_PERCEPTUAL names no folder of trained perceptual networks")
    return folder


def scene(random, size: int = 64) -> np.ndarray:
    """A picture with edges and shading."""
    y, x = np.mgrid[:size, :size] / size
    base = np.stack([x, y, (x > y) * 0.6 + 0.2], -1) * 200
    return np.clip(base + random.normal(0, 8, base.shape), 0, 255).astype(np.uint8)


def disturbed(random, picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.clip(picture + random.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def test_equal_pictures_score_perfectly(random):
    picture = scene(random)
    assert metrics.psnr(picture, picture) == float("inf")
    assert metrics.ssim(picture, picture) == pytest.approx(1)
    assert metrics.color_error(np.full_like(picture, 90), np.full_like(picture, 90)) == 0


@pytest.mark.parametrize("sigma", [3, 20, 60])
def test_psnr_and_ssim_agree_with_scikit_image(random, sigma):
    first = scene(random)
    second = disturbed(random, first, sigma)
    expected = skimage.metrics.peak_signal_noise_ratio(first, second, data_range=255)
    assert metrics.psnr(first, second) == pytest.approx(expected, abs=1e-9)
    expected = skimage.metrics.structural_similarity(
        first / 255,
        second / 255,
        data_range=1,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert metrics.ssim(first, second) == pytest.approx(expected, abs=1e-4)


def test_ciede2000_reproduces_the_published_pairs():
    rows = np.array([line.split() for line in SHARMA.split("\n") if line], float)
    assert len(rows) == 34
    first, second, expected = rows[:, :3], rows[:, 3:6], rows[:, 6]
    np.testing.assert_allclose(metrics.ciede2000(first, second), expected, atol=5e-5)
    np.testing.assert_allclose(metrics.ciede2000(second, first), expected, atol=5e-5)


def test_lab_and_ciede2000_agree_with_scikit_image(random):
    first, second = random.integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    np.testing.assert_allclose(metrics.to_lab(first), skimage.color.rgb2lab(first), atol=1e-3)
    np.testing.assert_allclose(
        metrics.ciede2000(metrics.to_lab(first), metrics.to_lab(second)),
        skimage.color.deltaE_ciede2000(metrics.to_lab(first), metrics.to_lab(second)),
        atol=1e-6,
    )
    one = metrics.ciede2000(metrics.to_lab(first), metrics.to_lab(second[0, 0]))
    assert one.shape == (40, 50)


def test_color_error_ignores_what_the_median_removes_and_sees_a_wrong_color(random):
    domain = np.full((64, 64, 3), (180, 60, 40), np.uint8)
    speckled = domain.copy()
    speckled[::8, ::8] = (0, 255, 255)
    assert metrics.color_error(speckled, domain) == 0
    wrong = metrics.color_error(domain[..., ::-1].copy(), domain)
    expected = metrics.ciede2000(metrics.to_lab([40, 60, 180]), metrics.to_lab([180, 60, 40]))
    assert wrong == pytest.approx(expected)


def test_edge_f1_by_hand():
    blank = np.full((20, 20), 255, np.uint8)
    line, near, far = blank.copy(), blank.copy(), blank.copy()
    line[:, 5], near[:, 7], far[:, 12] = 0, 0, 0
    both = np.minimum(line, far)
    assert metrics.edge_f1(line, line) == 1
    assert metrics.edge_f1(line, near) == 1
    assert metrics.edge_f1(line, near, tolerance_px=1) == 0
    assert metrics.edge_f1(line, far) == 0
    assert metrics.edge_f1(line, both) == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert metrics.edge_f1(blank, blank) == 1
    assert metrics.edge_f1(blank, line) == metrics.edge_f1(line, blank) == 0


def test_bootstrap_interval_covers_as_theory_says(random):
    values = random.normal(3, 2, 400)
    low, high = metrics.bootstrap_interval(values)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)
    assert metrics.bootstrap_interval(values) == (low, high)
    assert metrics.bootstrap_interval([2.0, 2.0]) == (2, 2)


def test_distances_of_sets_agree_with_torchmetrics(random):
    from torchmetrics.image.fid import _compute_fid
    from torchmetrics.image.kid import poly_mmd

    first = random.normal(0, 1, (60, 8))
    second = random.normal(0.5, 1.5, (60, 8))
    expected = poly_mmd(torch.from_numpy(first), torch.from_numpy(second)).item()
    assert metrics.kid(first, second) == pytest.approx(expected)
    moments = []
    for features in (first, second[:50]):
        moments += [torch.from_numpy(features.mean(0)), torch.from_numpy(np.cov(features.T))]
    expected = _compute_fid(*moments).item()
    assert metrics.frechet_distance(first, second[:50]) == pytest.approx(expected)
    assert metrics.frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_the_interval_of_kid_holds_kid_and_covers_as_often_as_it_says():
    random = np.random.default_rng(0)
    reference = random.normal(0, 1, (2000, 4))
    far = metrics.kid(random.normal(0.5, 1, (2000, 4)), reference)
    covered = 0
    for _ in range(60):
        first = random.normal(0.5, 1, (50, 4))
        low, high = metrics.kid_interval(first, reference, count=200)
        assert low < metrics.kid(first, reference) < high
        covered += low < far < high
    assert covered >= 50


def test_kid_is_unbiased_for_sets_of_different_size(random):
    draws = [
        metrics.kid(random.normal(0, 1, (20, 4)), random.normal(0, 1, (30, 4))) for _ in range(1000)
    ]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / len(draws) ** 0.5


def test_lpips_reproduces_a_published_value(perceptual):
    """torchmetrics' documentation, seed 42, net squeeze, noise against noise: 0.1005."""
    torch.manual_seed(42)
    pictures = [
        (torch.rand(10, 3, 100, 100) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        for _ in range(2)
    ]
    distance = metrics.Lpips("squeeze", weights_dir=perceptual)(*pictures).mean()
    assert distance == pytest.approx(0.1005, abs=1e-4)


def test_lpips_agrees_with_torchmetrics_on_the_same_weights(perceptual, random):
    from torchmetrics.functional.image import lpips

    judge = metrics.Lpips(weights_dir=perceptual)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = lpips._LPIPS(net="alex", pnet_rand=True, eval_mode=True)
    other.net.load_state_dict(judge.network.net.state_dict())
    first = np.stack([scene(random) for _ in range(18)])
    second = np.stack([disturbed(random, first[0], 10 * index) for index in range(18)])
    batch = [torch.from_numpy(x).permute(0, 3, 1, 2) / 255 for x in (first, second)]
    expected = other(*batch, normalize=True).flatten().detach().numpy()
    np.testing.assert_allclose(judge(first, second), expected, atol=1e-4)
    assert judge(first[:2], first[:2]) == pytest.approx([0, 0], abs=1e-7)


def test_lpips_is_the_squared_distance_of_its_vectors(perceptual, random):
    judge = metrics.Lpips(weights_dir=perceptual)
    pictures = np.stack([scene(random) for _ in range(18)])
    vectors = judge.embed(pictures)
    assert vectors.dtype == np.float32 and len(vectors) == 18
    apart = np.square(vectors - vectors[::-1]).sum(1)
    np.testing.assert_allclose(apart, judge(pictures, pictures[::-1]), atol=1e-5)


def test_features_distance_grows_with_noise_and_vectors_tell_sets_apart(perceptual, random):
    judge = metrics.Features(weights_dir=perceptual)
    picture = scene(random)
    noisy = [disturbed(random, picture, sigma) for sigma in (0.0, 5.0, 20.0, 60.0)]
    distances = judge.distance([picture] * 4, noisy)
    assert distances[0] < 1e-6 and (np.diff(distances) > 0).all()
    alone = judge.distance([picture], noisy[2:3])
    np.testing.assert_allclose(alone, distances[2:3], rtol=1e-4)
    clean = judge.pooled([scene(random) for _ in range(20)])
    again = judge.pooled([scene(random) for _ in range(20)])
    other = judge.pooled([disturbed(random, picture, 60) for _ in range(20)])
    assert clean.shape == (20, 1280)
    assert metrics.kid(clean, again) < 0.1 * metrics.kid(clean, other)
    assert metrics.frechet_distance(clean, again) < metrics.frechet_distance(clean, other)


def test_features_distance_is_the_mean_over_the_blocks(perceptual, random):
    judge = metrics.Features(weights_dir=perceptual)
    first, second = scene(random), scene(random)[::-1].copy()
    hidden = [torch.from_numpy(x).permute(2, 0, 1)[None] / 255 for x in (first, second)]
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    hidden = [(x - mean) / std for x in hidden]
    expected = []
    for index, layer in enumerate(judge.layers):
        hidden = [layer(x) for x in hidden]
        if index in (1, 3, 6, 13, 17):
            one, other = (x / x.norm(dim=1, keepdim=True) for x in hidden)
            expected.append((one - other).square().sum(1).mean().item())
    assert judge.distance([first], [second])[0] == pytest.approx(np.mean(expected), rel=1e-4)


def test_missing_weights_are_said_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(S2IError, match=r"alexnet_features.*no route to host"):
        metrics.Lpips(weights_dir=tmp_path)
    (tmp_path / "mobilenet_v2_features.safetensors").write_bytes(b"none of this")
    with pytest.raises(S2IError, match="it may be damaged"):
        metrics.Features(weights_dir=tmp_path)


def test_pairs_must_match(perceptual):
    judge = metrics.Features(weights_dir=perceptual)
    blank = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match="as many pictures"):
        judge.distance([blank], [blank, blank])
