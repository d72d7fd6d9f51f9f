"""The trainers of MaskNet and SketchNet, tiny: samples, gradients, a critic that can tell, runs."""

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from s2i import image, methods, weights
from s2i.edges import pencil
from s2i.errors import S2IError
from s2i.methods.base import Drawing
from s2i.methods.image2sketch import Image2Sketch, MaskNet
from train import image2sketch, photos, publish
from train.data import Drawings, Joined, Sample
from train.engine import EMA, STATE, Turn
from train.image2sketch import MaskConfig, MaskDraws, MaskTrainer, SketchConfig, SketchTrainer

TINY = {"batch": 2, "workers": 0, "threads": 1, "cpu": True}
SKETCH = {**TINY, "size_px": 64, "picture_px": 80, "width": 8, "critic_width": 4}


def sketcher(**settings):
    torch.manual_seed(0)
    return SketchTrainer(SketchConfig(**{**SKETCH, **settings}))


def masker(**settings):
    torch.manual_seed(0)
    return MaskTrainer(MaskConfig(**{**TINY, **settings}))


def batch_of(trainer, count=2):
    rng = np.random.default_rng(0)
    draws = trainer.dataset("train")
    samples = [draws.draw(index, rng) for index in range(count)]
    for turn in trainer.phases[0].turns:
        trainer.optimizer(turn)
    return trainer.prepare_batch(
        {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    )


def check_gradients(term, network):
    gradients = torch.autograd.grad(term, list(network.parameters()), retain_graph=True)
    assert term.isfinite() and all(each.isfinite().all() for each in gradients)
    return sum(float(each.abs().sum()) for each in gradients)


# -- masks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "side"), [(1, 28), (2, 56)])
def test_a_sample_is_a_photo_and_the_covered_share_by_the_dice_alone(version, side):
    draws = masker(version=version, pasted=0.5).dataset("train")
    for index in range(4):
        sample, again = (draws.draw(index, np.random.default_rng(index)) for _ in range(2))
        assert sample["photo"].shape == (3, 224, 224) and sample["mask"].shape == (1, side, side)
        assert all(torch.equal(sample[name], again[name]) for name in sample)
        assert sample["photo"].abs().max() <= 1
        assert sample["mask"].min() >= 0 and 0 < sample["mask"].mean() < 1
        assert sample["mask"].max() == 1


class Discs(Drawings):
    """A disc of a color no scene has, on grey."""

    def __getitem__(self, index):
        y, x = np.mgrid[: self.size_px, : self.size_px]
        is_inside = (y - 60) ** 2 + (x - 50) ** 2 < 35**2
        photo = np.full((*y.shape, 3), 128, np.uint8)
        photo[is_inside] = (255, 0, 255)
        return Sample(photo, None, None, None, "disc")


def test_composites_are_of_cut_outs_and_of_the_data_s_own_objects():
    config = MaskConfig(**TINY, pasted=1.0, foreign=1.0, degraded=0.0)
    scenes = Joined([Drawings(size_px=224)])
    foreign = MaskDraws(scenes, Joined([Discs(size_px=160)]), config)
    own = MaskDraws(scenes, (), config)
    for draws, has_disc in ((foreign, True), (own, False)):
        found = []
        for index in range(6):
            photo, mask = draws._compose(scenes[index], np.random.default_rng(index))
            red, green, blue = photo.astype(int).transpose(2, 0, 1)
            found.append(((np.minimum(red, blue) - green)[mask >= 128] > 60).mean() > 0.8)
        assert np.mean(found) > 0.6 if has_disc else not any(found)


def test_pictures_named_often_come_twice():
    scenes = Joined([Drawings(size_px=32)])
    assert len(MaskDraws(scenes, (), MaskConfig())) == 4096

    class Named(list):
        names = ("a/cat_1.jpg", "a/dog_1.jpg", "b/cat_2.jpg")

    draws = MaskDraws(Named([1, 2, 3]), (), MaskConfig(often=("cat_",)))
    assert draws.order == [0, 1, 2, 0, 2]


@pytest.mark.parametrize("backbone", ["mobilenet", "paper"])
@pytest.mark.parametrize("version", [1, 2])
def test_each_loss_alone_trains_all_of_masknet(backbone, version):
    made = masker(backbone=backbone, version=version)
    batch = batch_of(made, 1)
    terms = made.losses(Turn("network"), batch, 0.0)
    assert set(terms) == {"bce", "dice"}
    network = made.networks["network"]
    for name, term in terms.items():
        for part in network.children():
            if list(part.parameters()):
                assert check_gradients(term, part) > 0, (name, part)


def test_backbone_and_head_have_rates_of_their_own_that_fall():
    made = masker(learning_rate=1e-3, backbone_rate=1e-4)
    batch = batch_of(made)
    for progress, share in ((0.0, 1.0), (1.0, 0.1)):
        made.losses(Turn("network"), batch, progress)
        rates = [group["lr"] for group in made.optimizers["network"].param_groups]
        assert rates == pytest.approx([1e-3 * share, 1e-4 * share])
    trunk = {id(value) for value in made.networks["network"].trunk.parameters()}
    groups = made.optimizers["network"].param_groups
    assert {id(value) for value in groups[1]["params"]} == trunk
    assert not trunk & {id(value) for value in groups[0]["params"]}


def test_losses_are_smallest_at_the_mask():
    made = masker(boundary=0.0)
    mask = torch.zeros(1, 1, 56, 56)
    mask[..., 20:40, 10:30] = 1
    batch = {"photo": torch.zeros(1, 3, 224, 224), "mask": mask}
    made.optimizer(Turn("network"))
    answers = {
        "right": 40 * mask - 20,
        "moved": (40 * mask - 20).roll(8, 3),
        "empty": 0 * mask - 20,
    }
    costs = {}
    for name, logits in answers.items():
        made.networks["network"].forward = lambda _, logits=logits: logits
        costs[name] = {key: float(v) for key, v in made.losses(Turn("network"), batch, 0.0).items()}
    assert max(costs["right"].values()) < 1e-4
    assert costs["moved"]["dice"] == pytest.approx(8 / 20, abs=1e-3)  # 1 - Dice of 12 of 20 columns
    assert costs["empty"]["dice"] == pytest.approx(1, abs=1e-3)


def test_the_backbone_begins_with_a_file_s_features(tmp_path):
    features = MaskNet(version=2).network.trunk.state_dict()
    path = tmp_path / "features.safetensors"
    safetensors.torch.save_file({name: value.clone() for name, value in features.items()}, path)
    made = masker(init_backbone=str(path))
    for name, value in made.networks["network"].trunk.state_dict().items():
        assert torch.equal(value, features[name]), name
    with pytest.raises(S2IError, match="only the backbone 'mobilenet'"):
        masker(init_backbone=str(path), backbone="paper")
    with pytest.raises(S2IError, match=r"'nowhere.safetensors' does not hold"):
        masker(init_backbone="nowhere.safetensors")


def test_photos_without_masks_are_one_sentence(tmp_path):
    for number, sample in zip(range(3), Drawings(size_px=80), strict=False):
        image.write(tmp_path / f"{number}.png", sample.photo)
    draws = masker(data=(str(tmp_path),)).dataset("train")
    with pytest.raises(S2IError, match=r"'0.png' has no mask: name a column 'mask'"):
        draws.draw(0, np.random.default_rng(0))


# -- sketches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["pencil", "ink"])
def test_the_photo_is_made_worse_and_the_target_is_not(style):
    made = sketcher(style=style, degraded=1.0)
    clean = sketcher(style=style, degraded=0.0)
    for index in range(4):
        worse, fine = (
            each.dataset("train").draw(index, np.random.default_rng(index))
            for each in (made, clean)
        )
        assert worse["photo"].shape == (3, 64, 64) and worse["ink"].shape == (1, 64, 64)
        assert torch.equal(worse["ink"], fine["ink"])
        assert (worse["photo"] - fine["photo"]).abs().mean() > 1e-3
        if style == "pencil":
            assert torch.equal(
                fine["ink"], image.to_tensor(pencil(image.to_picture(fine["photo"])))
            )


def test_lines_go_with_their_picture():
    draws = sketcher(style="ink", degraded=0.0).dataset("train")
    near, far = [], []
    for index in range(12):
        sample = draws.draw(index, np.random.default_rng(index))
        grey = sample["photo"].mean(0)
        steps = nn.functional.max_pool2d(grey[None], 3, 1, 1) + nn.functional.max_pool2d(
            -grey[None], 3, 1, 1
        )
        near.append(steps[sample["ink"] > 0.5].mean())
        far.append(steps[sample["ink"] < 0.1].mean())
    assert np.mean(near) > 2 * np.mean(far)


class Slopes(nn.Module):
    """Stands for a perceptual network: a distance that has a gradient everywhere."""

    def forward(self, output, target):
        return (output - target - 3).square().mean()


@pytest.mark.parametrize(
    ("generator", "gan"), [("folded", "hinge"), ("paper", "lsgan"), ("shallow", "bce")]
)
def test_each_loss_alone_trains_its_network(generator, gan):
    made = sketcher(generator=generator, gan=gan)
    made.config = SketchConfig(
        **{**SKETCH, "generator": generator, "gan": gan, "perceptual": "stand-in"}
    )
    made.perceptual = Slopes()
    batch = batch_of(made)
    terms = made.losses(Turn("generator"), batch, 1.0)
    assert set(terms) == {"paper", "ink", "feature", "adversarial"}
    for name, term in terms.items():
        assert check_gradients(term, made.networks["generator"]) > 0, name
    assert not batch["fake"].requires_grad
    terms = made.losses(Turn("critic"), batch, 1.0)
    assert check_gradients(terms["adversarial"], made.networks["critic"]) > 0


def test_paper_and_ink_weigh_by_their_own_mass():
    made = sketcher(paper=2.0, ink=3.0, adversarial=0.0)
    batch = batch_of(made)
    target = torch.zeros(1, 1, 64, 64)
    target[..., :8] = 1
    batch |= {"photo": torch.zeros(1, 3, 64, 64), "ink": target}
    for drawn, paper, ink in (
        (0 * target, 0, 3),
        (0 * target + 1, 2, 0),
        (0 * target + 0.5, 1, 1.5),
    ):
        made.networks["generator"].forward = lambda _, drawn=drawn: drawn
        terms = made.losses(Turn("generator"), batch, 0.0)
        assert terms["paper"].item() == pytest.approx(paper)
        assert terms["ink"].item() == pytest.approx(ink)


@pytest.mark.parametrize("gan", ["hinge", "lsgan"])
def test_the_critic_can_tell_true_from_false(gan):
    made = sketcher(critic_width=8, critic_rate=2e-3, gan=gan)
    batch = batch_of(made, 4)
    made.losses(Turn("generator"), batch, 0.0)
    for _ in range(60):
        made.optimizers["critic"].zero_grad()
        made.losses(Turn("critic"), batch, 0.0)["adversarial"].backward()
        made.optimizers["critic"].step()
    critic = made.networks["critic"].eval()
    with torch.no_grad():
        real, fake = (
            critic(image2sketch.join(batch["photo"], drawn))
            for drawn in (batch["ink"], batch["fake"])
        )
    assert real.mean() > fake.mean() + 0.5
    if gan == "hinge":
        assert fake.mean() < 0 < real.mean()  # below zero is where the original could never get


def test_the_adversarial_loss_comes_in_late():
    made = sketcher(adversarial=1.0)
    batch = batch_of(made)
    terms = [made.losses(Turn("generator"), batch, at)["adversarial"] for at in (0.0, 0.2, 1.0)]
    assert terms[0] == 0 and terms[1].abs() > 0
    torch.testing.assert_close(terms[2], 2 * terms[1], rtol=0.3, atol=0.05)
    assert made.phases[0].turns == (Turn("generator"), Turn("critic"))
    assert sketcher(adversarial=0.0).phases[0].turns == (Turn("generator"),)


def test_two_pictures_can_be_learned_by_heart():
    made = sketcher(learning_rate=4e-3, adversarial=0.0, degraded=0.0, width=16)
    batch, costs = batch_of(made), []
    for _ in range(60):
        made.optimizers["generator"].zero_grad()
        cost = sum(made.losses(Turn("generator"), batch, 0.0).values())
        cost.backward()
        made.optimizers["generator"].step()
        costs.append(cost.item())
    assert np.mean(costs[-5:]) < 0.5 * costs[0]


def test_columns_are_each_data_s_own(tmp_path):
    for folder, columns in (("one", ("color", "lines")), ("two", ("flat", "line"))):
        for column, value in zip(columns, (200, 255), strict=True):
            page = np.full((80, 80, 3), value, np.uint8)
            if value == 255:
                page[:, 30:34] = 0
            image.write(tmp_path / folder / column / "1.png", page)
        cells = ",".join(f"{column}/1.png" for column in columns)
        (tmp_path / folder / "meta.csv").write_text(f"{','.join(columns)}\n{cells}\n")
    data = (str(tmp_path / "one"), str(tmp_path / "two"))
    made = sketcher(
        style="ink", data=data, photo_column=("color", "flat"), lines_column=("lines", "line")
    )
    draws = made.dataset("train")
    assert len(draws) == 2
    for index in range(2):
        assert draws.draw(index, np.random.default_rng(0))["ink"].max() > 0.9
    with pytest.raises(S2IError, match="'photo' = 'color' doesn't fit"):
        sketcher(data=data, photo_column=("color",)).dataset("train")
    with pytest.raises(S2IError, match="3 columns were named for 2"):
        sketcher(data=data, photo_column=("color", "flat", "flat")).dataset("train")


def test_ink_without_lines_is_one_sentence(tmp_path):
    image.write(tmp_path / "1.png", np.full((80, 80, 3), 90, np.uint8))
    draws = sketcher(style="ink", data=(str(tmp_path),)).dataset("train")
    with pytest.raises(S2IError, match=r"'1.png' has no lines: ink is learned from pairs"):
        draws.draw(0, np.random.default_rng(0))


@pytest.mark.parametrize(("size_px", "generator"), [(48, "folded"), (96, "folded"), (60, "paper")])
def test_a_size_that_does_not_fit_is_one_sentence(size_px, generator):
    with pytest.raises(S2IError, match=f"at most picture_px \\(80\\); got {size_px}"):
        sketcher(size_px=size_px, generator=generator)


# -- commands --------------------------------------------------------------------------------------


def train(command, settings, *options):
    argv = [command, "--cpu", "--steps", 2, "--log-steps", 1, *options]
    for name, value in settings.items():
        argv += [] if name == "cpu" else [f"--{name.replace('_', '-')}", value]
    return image2sketch.main([str(each) for each in argv])


@pytest.mark.parametrize("version", [1, 2])
def test_masknet_is_trained_published_loaded_and_run(zoo, tmp_path, monkeypatch, version):
    monkeypatch.setattr(methods, "PARTS", (MaskNet,))
    assert train("mask", TINY, "--version", version, "--out", tmp_path / "run") == 0
    name = f"masknet.v{version}"
    entry = publish.publish(tmp_path / "run", name, license="CC0-1.0", data="Own drawings.")
    assert (entry.images_seen, entry.method) == (4, "masknet")
    photo = Drawings(size_px=96)[0].photo[:70]
    result = weights.load(name).method.run(Drawing(photo=photo))
    assert result.pictures[0].shape == (70, 96, 3)


@pytest.mark.parametrize("style", ["pencil", "ink"])
def test_sketchnet_is_trained_published_loaded_and_run(zoo, tmp_path, monkeypatch, style):
    monkeypatch.setattr(methods, "METHODS", (Image2Sketch,))
    assert train("sketch", SKETCH, "--style", style, "--out", tmp_path / "run") == 0
    name = f"image2sketch.{style}"
    entry = publish.publish(tmp_path / "run", name, license="CC0-1.0", data="Own drawings.")
    assert (entry.size_px, entry.images_seen, entry.method) == (64, 4, "image2sketch")
    loaded = weights.load(name)
    assert loaded.method.kwargs["style"] == style
    photo = Drawings(size_px=96)[0].photo[:70]
    drawn = loaded.method.run(Drawing(photo=photo), mask="off", resolution=304, vec_switch=False)
    assert drawn.pictures[0].shape == (70, 96, 3)


def test_several_folders_and_cut_outs_are_taken(tmp_path):
    for number, sample in zip(range(4), Drawings(size_px=80), strict=False):
        image.write(tmp_path / "photos" / f"{number}.png", sample.photo)
        image.write(tmp_path / "masks" / f"{number}.png", sample.mask)
    table = "".join(f"photos/{number}.png,masks/{number}.png\n" for number in range(4))
    (tmp_path / "meta.csv").write_text("path,mask\n" + table)
    out = tmp_path / "run"
    cutouts = ("--cutouts", tmp_path / "photos", tmp_path / "photos", "--foreign", 1)
    assert train("mask", TINY, "--data", tmp_path, *cutouts, "--pasted", 1, "--out", out) == 0
    assert (out / EMA).exists() and (out / STATE).exists()
    out = tmp_path / "sketches"
    data = ("--data", tmp_path / "photos", tmp_path / "photos")
    assert train("sketch", SKETCH, *data, "--out", out) == 0
    assert (out / EMA).exists()


def test_help_and_commands(capsys):
    assert image2sketch.main(["--help"]) == 0
    assert "image2sketch.py mask --data" in capsys.readouterr().out
    assert image2sketch.main([]) == image2sketch.main(["paint"]) == 2
    assert "usage: image2sketch.py {mask,sketch}" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        image2sketch.main(["mask", "--help"])
    assert stop.value.code == 0 and "--cutouts" in capsys.readouterr().out


def test_grids_have_a_row_for_each_sample():
    for made, side in ((masker(), 224), (sketcher(), 64)):
        batch = batch_of(made, 3)
        networks = {name: network.eval() for name, network in made.networks.items()}
        with torch.no_grad():
            rows = made.sample(networks, batch)
        assert rows.shape == (3, 3, side, 3 * side) and rows.abs().max() <= 1.001


def test_degradations_are_named_as_the_protocol_asks():
    assert {"noise", "low light", "clutter"} <= set(photos.DEGRADATIONS)
