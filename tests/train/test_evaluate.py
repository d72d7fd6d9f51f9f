import csv
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toy_judge import Distance

from s2i import edges, image, metrics, palette, weights
from s2i.errors import S2IError
from s2i.methods.base import Drawing, Result
from train import cards, evaluate, publish
from train.data import Sample
from train.protocols import base, pirec

SIZE_PX = 96


def make_photo(number: int) -> np.ndarray:
    """Two flat areas with a soft pattern that the color domain loses."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    colors = np.stack([random.integers(20, 90, 3), random.integers(150, 236, 3)])
    is_right = x > y + random.integers(-8, 9)
    photo = colors[is_right.astype(int)] + 12 * np.sin(x[..., None] / 2 + number)
    return np.clip(photo, 0, 255).astype(np.uint8)


def make_samples(count: int) -> list[Sample]:
    return [
        Sample(photo=make_photo(number), lines=None, mask=None, label=None, name=f"{number}.png")
        for number in range(count)
    ]


class Painter:
    """Knows every photo by its lines: obeys colors everywhere, or leaves dabs as dots."""

    def __init__(self, samples, *, spreads: bool):
        self.known = {edges.find_lines(s.photo).tobytes(): s.photo for s in samples}
        self.spreads = spreads

    def __call__(self, drawing: Drawing, *, refine: int = 0) -> Result:
        photo = self.known.get(drawing.lines.tobytes())
        colors = drawing.colors
        is_painted = colors[..., 3] > 0
        picture = image.on_paper(colors)
        if photo is None:
            return Result(pictures=(picture,))
        if refine:
            return Result(pictures=(photo // 2 * 2,))
        if self.spreads and not is_painted.all() and is_painted.any():
            domain = palette.color_domain(photo)
            is_same = (colors[is_painted][:, :3] == domain[is_painted]).all(axis=1)
            is_true = is_same.mean() > 0.5  # a dab may reach over its area's border
            picture = domain if is_true else palette.turn_hue(domain, 120)
        return Result(pictures=(picture,))


def make_task(count: int = 5, *, spreads: bool = True, reference: int = 4) -> base.Task:
    samples = make_samples(count)
    return base.Task(
        run=Painter(samples, spreads=spreads),
        samples=samples,
        reference=[make_photo(100 + number) for number in range(reference)],
        lpips=Distance(),
        features=Distance(),
    )


def test_hint_error_by_hand():
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:, :10], picture[:, 10:] = (200, 30, 30), (30, 30, 200)
    regions = palette.find_regions(picture)
    dabs = [SimpleNamespace(y=5, x=3, radius_px=1), SimpleNamespace(y=12, x=15, radius_px=2)]
    places = base.find_places(regions, dabs, grow_px=4)
    y, x = np.mgrid[:20, :20]
    expected = (x < 10) & (np.hypot(y - 5, x - 3) > 5) & (np.hypot(y - 12, x - 15) > 6)
    assert (places[0] == expected).all()
    red, blue = picture[0, 0], picture[0, -1]
    assert base.hint_error(picture, np.stack([red, blue]), places) == 0
    apart = metrics.ciede2000(metrics.to_lab(red), metrics.to_lab(blue))
    one_wrong = base.hint_error(picture, np.stack([red, red]), places)
    assert one_wrong == pytest.approx(apart / 2)
    nowhere = np.zeros((20, 20), bool)
    assert base.hint_error(picture, np.stack([blue, blue]), [nowhere, places[1]]) == 0
    assert np.isnan(base.hint_error(picture, np.stack([blue]), [nowhere]))


def test_a_painter_that_shows_the_domain_scores_as_the_domain():
    report = pirec.evaluate(make_task())
    scores = report.scores
    assert scores["pictures"] == 5 and len(report.rows) == len(report.names) == 5
    for measure in ("lpips", "features", "psnr", "ssim", "edge_f1", "color_error", "kid"):
        assert scores[f"unrefined.{measure}"] == scores[f"domain.{measure}"]
    assert scores["unrefined.lpips_ratio"] == scores["unrefined.features_ratio"] == 1
    assert scores["refined.lpips_ratio"] < 0.5
    assert scores["refined.edge_f1"] > 0.9 and scores["refined.psnr"] > 40
    assert scores["refined_minus_unrefined.lpips_high"] < 0
    assert scores["photo.kid"] == pytest.approx(scores["refined.kid"], abs=0.01)
    json.dumps(scores, allow_nan=False)


def test_hints_that_spread_have_no_error_and_dots_have():
    spread = pirec.evaluate(make_task(3)).scores
    dots = pirec.evaluate(make_task(3, spreads=False)).scores
    for count in pirec.DAB_COUNTS:
        name = f"dabs_{count}"
        if f"{name}.hint_error" not in dots:
            continue  # twenty grown dabs cover pictures as small as these
        assert spread[f"{name}.hint_error"] == spread[f"{name}.turned"] == 0
        assert dots[f"{name}.hint_error"] > 20 and dots[f"{name}.turned"] > 20
        assert 0 < spread[f"{name}.photo"] == dots[f"{name}.photo"] < 15
    assert "dabs_3.hint_error" in dots


def test_the_same_questions_whatever_the_batches(monkeypatch):
    first = pirec.evaluate(make_task())
    monkeypatch.setattr(metrics, "BATCH", 2)
    second = pirec.evaluate(make_task())
    assert first.rows == second.rows and first.scores == second.scores
    for name, sheet in first.sheets.items():
        assert (sheet == second.sheets[name]).all()
    other = pirec.evaluate(dataclasses.replace(make_task(), seed=1))
    assert other.scores["unrefined.lpips"] == first.scores["unrefined.lpips"]
    assert other.scores["on_grey.lpips"] != first.scores["on_grey.lpips"]


def test_sheets_show_what_was_compared():
    task = make_task(2)
    sheet = pirec.evaluate(task).sheets["sheet.png"]
    step = SIZE_PX + 2
    assert sheet.shape == (2 * step, 5 * step, 3)
    photo = task.samples[1].photo
    for across, expected in ((0, photo), (2, palette.color_domain(photo)), (4, photo // 2 * 2)):
        x = across * step
        assert (sheet[step : step + SIZE_PX, x : x + SIZE_PX] == expected).all()


def test_no_training_photos_means_no_distance_of_sets():
    report = pirec.evaluate(make_task(2, reference=0))
    assert not any(name.endswith(("kid", "frechet")) for name in report.scores)
    assert "floor" not in report.tables and "unrefined to domain" in report.tables


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "photos"
    for sample in make_samples(4):
        image.write(folder / sample.name, sample.photo)
    return folder


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A manifest with one weight, and a painter that loading it returns."""
    entry = {
        "method": "pirec",
        "file": "pirec.trial.safetensors",
        "bytes": 1,
        "sha256": "0" * 64,
        "size_px": SIZE_PX,
    }
    manifest = tmp_path / "weights_manifest.json"
    manifest.write_text(json.dumps({"weights": {"pirec.trial": entry}}))
    monkeypatch.setenv("S2I_MANIFEST", str(manifest))
    painter = Painter(make_samples(4), spreads=True)
    kwargs = {"size_px": SIZE_PX}
    method = SimpleNamespace(name="pirec", title="PI-REC", run=painter, kwargs=kwargs)
    loaded = SimpleNamespace(method=method, device=torch.device("cpu"))
    monkeypatch.setattr(weights, "load", lambda name: loaded)
    monkeypatch.setattr(metrics, "Lpips", Distance)
    monkeypatch.setattr(metrics, "Features", Distance)
    return loaded


def test_command_writes_tables_numbers_sheets_and_manifest(data, published, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["pirec.trial", "--data", str(data), "--out", str(out), "--write-manifest"]
    assert evaluate.main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed == (out / "scores.md").read_text()
    assert printed.startswith("4 pictures") and printed.count("\n| ---") == 3
    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"{number}.png" for number in range(4)]
    mean = np.mean([float(row["refined.psnr"]) for row in rows])
    scores = weights.find("pirec.trial").scores
    assert scores["refined.psnr"] == pytest.approx(mean, abs=1e-3)
    assert scores["pictures"] == 4
    assert image.read_photo(out / "sheet_hands.png").shape[1] == 9 * (SIZE_PX + 2)


def test_limit_takes_the_first_pictures(data, published):
    report = evaluate.evaluate("pirec.trial", str(data), limit=2)
    assert report.names == ["0.png", "1.png"]


def test_what_is_wrong_is_one_sentence(data, published, monkeypatch, capsys):
    assert evaluate.main(["pirec.other", "--data", str(data), "--write-manifest"]) == 2
    assert "pirec.other" in capsys.readouterr().err
    published.method.name = published.method.title = "doodle"
    with pytest.raises(S2IError, match="no protocol for doodle yet; there is one for pirec"):
        evaluate.evaluate("pirec.trial", str(data))
    with pytest.raises(SystemExit) as stop:
        evaluate.main(["--help"])
    assert stop.value.code == 0 and "Hint error" in capsys.readouterr().out


@pytest.fixture
def pairs(tmp_path, published):
    """A data set with lines, one picture each in two styles, and a weight that only reads lines."""
    folder = tmp_path / "pairs"
    table = ["color,flat,lines,split"]
    for number in range(4):
        photo = make_photo(number)
        for name, picture in (("color", photo), ("flat", photo // 2), ("lines", 255 - 0 * photo)):
            image.write(folder / name / f"{number}.png", picture)
        paths = ",".join(f"{name}/{number}.png" for name in ("color", "flat", "lines"))
        table.append(f"{paths},{'train' if number < 2 else 'test'}")
    (folder / "meta.csv").write_text("\n".join(table))
    published.method.name = published.method.title = "pix2pix"
    published.method.seen = []

    def run(drawing: Drawing) -> Result:
        published.method.seen.append(drawing.lines)
        return Result(pictures=(np.full((*drawing.lines.shape, 3), 90, np.uint8),))

    published.method.run = run
    return folder


def test_lines_are_the_datas_or_drawn(pairs, published, tmp_path, capsys):
    def run(*options: str) -> np.ndarray:
        published.method.seen.clear()
        arguments = ["pirec.trial", "--data", str(pairs), "--out", str(tmp_path / "out"), *options]
        assert evaluate.main(arguments) == 0, capsys.readouterr().err
        assert len(published.method.seen) == 2
        return published.method.seen[0]

    photo = make_photo(2)
    assert (run() == 255).all()
    assert "the data's own, else XDoG (2 of 2 have their own)." in capsys.readouterr().out
    scaled = edges.xdog(photo, sigma_px=0.6 * SIZE_PX / 128)
    assert (run("--lines", "xdog") == scaled).all() and (scaled < 128).any()
    half = run("--lines", "xdog2x", "--size-px", str(SIZE_PX // 2))
    assert (half == image.resize(edges.xdog(photo), (SIZE_PX // 2, SIZE_PX // 2))).all()
    assert "lines: XDoG at twice the size" in (tmp_path / "out" / "scores.md").read_text()
    sheet = image.read_photo(tmp_path / "out" / "sheet.png")
    assert (sheet[: SIZE_PX // 2, : SIZE_PX // 2] == image.crop_square(photo, SIZE_PX // 2)).all()


def test_columns_are_chosen(pairs, published, tmp_path, capsys):
    arguments = ["pirec.trial", "--data", str(pairs), "--out", str(tmp_path / "out")]
    assert evaluate.main([*arguments, "--photo-column", "flat", "--lines-column", "color"]) == 0
    grey = published.method.seen[0]
    assert np.ptp(grey) > 20
    sheet = image.read_photo(tmp_path / "out" / "sheet.png")
    assert (sheet[:SIZE_PX, :SIZE_PX] == make_photo(2) // 2).all()
    assert evaluate.main([*arguments, "--lines-column", "ink"]) == 2
    assert "'lines' = 'ink' doesn't fit" in capsys.readouterr().err
    with pytest.raises(S2IError, match="choose one of given, xdog, xdog2x"):
        evaluate.evaluate("pirec.trial", str(pairs), lines="canny")


# -- all weights -----------------------------------------------------------------------------------


def test_headlines_get_intervals_where_they_are_means():
    headlines = [base.Headline(score=name, title=name) for name in ("a", "b", "c", "macro", "none")]
    report = base.Report(
        names=["0", "1"],
        rows=[{"a": 1.0, "macro": 0.0, "b": 2.0}, {"a": 3.0, "macro": 1.0, "b": np.nan}],
        scores={"a": 2.0, "macro": 0.9, "b": 2.0, "b_low": 1.0, "c": 5.0},
        tables="",
    )
    scores = base.add_intervals(report, headlines).scores
    assert (scores["a"], scores["a_low"], scores["a_high"]) == (2.0, 1.0, 3.0)
    assert scores["b_low"] == 1.0 and scores["b_high"] == 2.0
    assert scores.keys() == {"a", "a_low", "a_high", "b", "b_low", "b_high", "c", "macro"}


@pytest.fixture
def home(data, published, tmp_path, monkeypatch):
    """Return a project with a README, a folder of cards, and a recipe that names ``photos``."""
    sections = ("", "all", "pirec.trial")
    page = "\nold\n<!-- end -->\n".join(f"<!-- scores:{name} -->" for name in sections)
    (tmp_path / "README.md").write_text(f"{page}\nold\n<!-- end -->\nbottom\n")
    (tmp_path / "docs" / "cards").mkdir(parents=True)
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "pirec_trial.toml").write_text(
        'width = 8\n[scored]\ndata = ["photos"]\nlines = "xdog"\n[card]\npurpose = "Two areas."\n'
    )
    monkeypatch.setattr(cards, "RECIPES", recipes)
    manifest = json.loads((tmp_path / "weights_manifest.json").read_text())
    manifest["weights"]["pirec.trial"]["recipe"] = "pirec_trial.toml"
    (tmp_path / "weights_manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def test_all_makes_the_table_of_what_the_manifest_holds(home, capsys):
    publish.write_scores("pirec.trial", {"refined.lpips": 0.25, "domain.lpips": 0.5, "x": 1})
    assert evaluate.main(["--all"]) == 0
    table = capsys.readouterr().out
    row = "[`pirec.trial`](docs/cards/pirec.trial.md) | LPIPS ↓ 0.250 | colour domain 0.500 | "
    assert row in table and table.count("\n") == 3
    page = (home / "README.md").read_text()
    assert f"old\n<!-- end -->\n<!-- scores:all -->\n{table}<!-- end -->\n<!-- scores:pirec" in page
    assert page.endswith("old\n<!-- end -->\nbottom\n")
    assert "Two areas." in (home / "docs" / "cards" / "pirec.trial.md").read_text()
    assert evaluate.main(["--all"]) == 0
    assert (home / "README.md").read_text() == page


def test_all_with_data_scores_every_weight_and_writes_it_down(home, tmp_path, capsys):
    out = tmp_path / "out"
    assert evaluate.main(["--all", "--data", str(home), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "pirec.trial: " in printed.err
    scores = weights.find("pirec.trial").scores
    assert scores["pictures"] == scores["memorised.pictures"] == 4
    assert scores["memorised.photo_lpips"] == 0  # a folder without splits is its own training set
    assert "| 0 of 4, near 0 |" in printed.out
    low, high = scores["refined.lpips_low"], scores["refined.lpips_high"]
    assert low <= scores["refined.lpips"] <= high
    assert f"LPIPS ↓ {scores['refined.lpips']:.3f} [{low:.3f}, {high:.3f}]" in printed.out
    page = (home / "README.md").read_text()
    section = (out / "pirec.trial" / "scores.md").read_text()
    assert f"<!-- scores:pirec.trial -->\n{section}<!-- end -->" in page and page.count("old") == 1
    assert printed.out in page


def test_a_trial_of_all_writes_nothing_but_its_own_folder(home, tmp_path, capsys):
    before = (home / "README.md").read_text(), (home / "weights_manifest.json").read_text()
    out = tmp_path / "out"
    named = ["--all", "pirec.trial", "--data", str(home), "--limit", "2", "--out", str(out)]
    assert evaluate.main(named) == 0
    assert (out / "pirec.trial" / "scores.md").read_text().startswith("2 pictures")
    assert (
        (home / "README.md").read_text(),
        (home / "weights_manifest.json").read_text(),
    ) == before
    assert not list((home / "docs" / "cards").iterdir())


def test_all_says_what_is_missing(home, tmp_path, capsys):
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    assert evaluate.main(["--all", "--data", str(home)]) == 2
    assert "'photos' is not in" in capsys.readouterr().err
    assert evaluate.main(["--all", "--data", str(home), "pirec.trial"]) == 2
    assert "names of weights go before" in capsys.readouterr().err
    (cards.RECIPES / "pirec_trial.toml").write_text("width = 8\n")
    assert evaluate.main(["--all", "--data", str(home)]) == 0
    assert "its recipe does not say what it is scored on" in capsys.readouterr().err
    (cards.RECIPES / "pirec_trial.toml").write_text("width = ")
    assert evaluate.main(["--all"]) == 2
    assert "pirec_trial.toml' could not be read" in capsys.readouterr().err
    for arguments in ([], ["pirec.trial"], ["a", "b", "--data", "x"]):
        assert evaluate.main(arguments) == 2
        assert "name one weight and its --data, or ask for --all." in capsys.readouterr().err
