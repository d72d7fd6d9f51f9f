import pytest
import torch
from torch import nn

from train.muon import Muon, orthogonalize


@pytest.mark.parametrize("shape", [(16, 16), (8, 90), (90, 8)])
def test_orthogonal_matrices_keep_directions_and_lose_lengths(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalize(1e-4 * matrix)
    strengths = torch.diagonal(u.T @ found @ v.T)
    assert strengths.min() > 0.5 and strengths.max() < 1.3
    rest = found - u @ torch.diag(strengths) @ v
    assert rest.norm() < 0.1 * found.norm()


def test_no_gradient_at_all_moves_nothing():
    assert not orthogonalize(torch.zeros(8, 8)).any()


def make_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(9, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 3, 3, padding=1))


def test_large_kernels_move_by_the_rate_and_small_ones_as_adam_moves_them():
    layers, other = make_layers(), make_layers()
    first = layers[0].weight.detach().clone()
    optimizers = Muon(layers.parameters(), lr=0.01), torch.optim.Adam(other.parameters(), lr=0.01)
    x = torch.randn(2, 9, 8, 8)
    for network, optimizer in zip((layers, other), optimizers, strict=True):
        network(x).square().mean().backward()
        optimizer.step()
    move = layers[0].weight.detach() - first
    assert move.square().mean().sqrt().item() == pytest.approx(0.01, rel=0.2)
    assert not torch.equal(layers[0].weight, other[0].weight)
    for mine, adams in ((layers[0].bias, other[0].bias), (layers[2].weight, other[2].weight)):
        assert torch.equal(mine, adams)
    assert layers[0].weight.grad is not None


def test_what_has_no_gradient_stays_where_it_is():
    layers = make_layers()
    optimizer = Muon(layers.parameters(), lr=0.01)
    layers(torch.randn(1, 9, 8, 8)).mean().backward()
    layers[0].weight.grad = None
    before = layers[0].weight.detach().clone()
    optimizer.step()
    assert torch.equal(before, layers[0].weight)


def test_it_goes_on_from_its_saved_state():
    def steps(layers, optimizer, seeds):
        for seed in seeds:
            torch.manual_seed(seed)
            optimizer.zero_grad()
            layers(torch.randn(2, 9, 8, 8)).square().mean().backward()
            optimizer.step()

    whole, part = make_layers(), make_layers()
    steps(whole, Muon(whole.parameters(), lr=0.01), (1, 2))
    first = Muon(part.parameters(), lr=0.01)
    steps(part, first, (1,))
    second = Muon(part.parameters(), lr=0.5)
    second.load_state_dict(first.state_dict())
    steps(part, second, (2,))
    for mine, other in zip(whole.parameters(), part.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_it_finds_a_linear_map_sooner_than_adam():
    def lose(build):
        torch.manual_seed(0)
        wanted, layer = torch.randn(32, 32) * torch.logspace(0, -2, 32), nn.Linear(32, 32)
        optimizer = build(layer.parameters(), lr=0.01)
        for _ in range(60):
            x = torch.randn(64, 32)
            loss = (layer(x) - x @ wanted.T).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    assert lose(Muon) < 0.8 * lose(torch.optim.Adam)
