import json
import math
import zipfile
from collections import Counter

import cv2
import numpy as np
import pytest
from prepared import read_member, read_table, run

from s2i import image
from s2i.errors import S2IError
from train import sources
from train.data import SPLITS, open_pictures, read_rows

COLUMNS = [f"{point}_{axis}" for point in sources.POINTS for axis in "xy"]
UPRIGHT = np.array([(48, 60), (80, 60), (64, 79), (51, 92), (77, 92)], float)
DOTS = ((250, 0, 0), (0, 0, 250), (0, 250, 0), (250, 250, 0), (0, 250, 250))


# -- portraits -------------------------------------------------------------------------------------


def paint_face(points, radius, *, size=(300, 300), ground=120):
    """Return a photo with a dot at each landmark."""
    photo = np.full((*size, 3), ground, np.uint8)
    for point, color in zip(points, DOTS, strict=True):
        at = tuple(round(value * 16) for value in point)
        cv2.circle(photo, at, round(radius * 16), color, -1, cv2.LINE_AA, 4)
    return photo


def turn(points, *, scale=1.0, degrees=0.0, center=(150, 150)):
    """Return points turned and scaled around the middle of the face, which comes to ``center``."""
    angle = math.radians(degrees)
    matrix = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    return (points - (64, 76)) @ matrix.T + center


def find_dot(picture, color):
    """Return the center of mass (x, y) of what is nearer to a color than to the grey ground."""
    weight = np.abs(picture.astype(float) - color).sum(axis=2) < 190
    rows, columns = np.nonzero(weight)
    return np.array([columns.mean(), rows.mean()])


def write_landmarks(path, faces, *, style="text"):
    lines = [",".join(["image_id", *COLUMNS])] if style == "csv" else []
    lines = lines or [str(len(faces)), " ".join(COLUMNS) + " "]
    for name, points in faces.items():
        fields = [name, *(f"{value:.3f}" for value in np.ravel(points))]
        lines.append(",".join(fields) if style == "csv" else "  ".join(fields))
    path.write_text("\n".join(lines) + "\n")
    return path


POSES = {
    "as_is.png": {},
    "turned.png": {"degrees": 33},
    "large.png": {"scale": 3.3, "degrees": -21, "center": (300, 330)},
    "small.png": {"scale": 0.6, "degrees": 140},
}


@pytest.fixture
def faces(tmp_path):
    """Photos of faces in several poses, one folder deep, and their landmarks."""
    points = {name: turn(UPRIGHT, **pose) for name, pose in POSES.items()}
    for name, pose in POSES.items():
        scale = pose.get("scale", 1)
        size = (700, 620) if scale > 2 else (300, 300)
        photo = paint_face(points[name], 5 * scale, size=size)
        image.write(tmp_path / "photos" / "deep" / name, photo)
    return tmp_path / "photos", write_landmarks(tmp_path / "landmarks.txt", points)


@pytest.mark.parametrize("align", ["eyes", "points"])
def test_eyes_come_to_their_place(faces, tmp_path, align, capsys):
    photos, landmarks = faces
    out = tmp_path / "out.zip"
    chosen = ("--landmarks", landmarks, "--size-px", 128, "--align", align, "--out", out)
    assert run("faces", photos, *chosen) == 0
    assert capsys.readouterr().err == ""
    rows = read_table(out)
    assert [row["source"] for row in rows] == list(POSES)
    assert list(rows[0]) == ["name", "color", "group", "split", "source"]
    for row in rows:
        portrait = read_member(out, row["color"])
        assert portrait.shape == (128, 128, 3)
        for color, wanted in zip(DOTS[:2], UPRIGHT[:2], strict=True):
            assert np.abs(find_dot(portrait, color) - wanted).max() < 0.7, row["name"]
        assert np.abs(find_dot(portrait, DOTS[2]) - (64, 79)).max() < 1
    (one,) = open_pictures(out, "val", size_px=64)
    assert one.photo.shape == (64, 64, 3) and one.lines is None


def test_a_place_of_ones_own(faces, tmp_path):
    photos, landmarks = faces
    out = tmp_path / "out.zip"
    chosen = ("--eye-distance", 0.2, "--eye-height", 0.4, "--size-px", 200, "--max-enlarge", 3)
    assert run("faces", photos, "--landmarks", landmarks, *chosen, "--out", out) == 0
    portrait = read_member(out, "color/turned.png")
    assert np.abs(find_dot(portrait, DOTS[0]) - (80, 80)).max() < 0.7
    assert np.abs(find_dot(portrait, DOTS[1]) - (120, 80)).max() < 0.7


def test_a_csv_and_a_zip_do_as_well(faces, tmp_path):
    photos, landmarks = faces
    table = write_landmarks(
        tmp_path / "table.csv", dict(sources.read_landmarks(landmarks)), style="csv"
    )
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as file:
        for path in sorted(photos.rglob("*.png")):
            file.write(path, path.relative_to(photos))
    for source, given, out in ((photos, landmarks, "a"), (tmp_path / "in.zip", table, "b")):
        assert run("faces", source, "--landmarks", given, "--out", tmp_path / f"{out}.zip") == 0
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_sides_named_from_the_person_are_turned_round(tmp_path):
    seen = turn(UPRIGHT, degrees=75)
    path = write_landmarks(tmp_path / "own.txt", {"a.jpg": seen[[1, 0, 2, 4, 3]], "b.jpg": seen})
    (_, first), (_, second) = sources.read_landmarks(path)
    assert np.array_equal(first, second) and np.allclose(first, seen, atol=1e-3)


def test_shrinking_does_not_alias():
    photo = (np.indices((800, 800)).sum(axis=0) % 2 * 255).astype(np.uint8)
    photo = np.repeat(photo[..., None], 3, axis=2)
    for scale in (0.2, 0.3, 0.5):
        points = turn(UPRIGHT, scale=1 / scale, center=(400, 400), degrees=9)
        matrix = sources.fit_similarity(points[:2], UPRIGHT[:2])
        portrait = sources.cut_portrait(photo, matrix, size_px=128, max_border=1)
        assert abs(portrait.mean() - 127.5) < 2 and portrait.std() < 12


def test_the_border_is_mirrored_and_limited(tmp_path, capsys):
    points = turn(UPRIGHT, center=(64, 40))
    photo = paint_face(points, 4, size=(200, 200))
    photo[:, 100:] = 200
    image.write(tmp_path / "in" / "a.png", photo)
    chosen = ("faces", tmp_path / "in", "--landmarks")
    chosen += (write_landmarks(tmp_path / "l.txt", {"a.png": points}), "--size-px", 128)
    assert run(*chosen, "--out", tmp_path / "a.zip") == 2
    errors = capsys.readouterr().err
    assert "a.png: 28% of its portrait lie outside of the photo, at most 10% may." in errors
    assert run(*chosen, "--out", tmp_path / "a.zip", "--max-border", 0.3) == 0
    portrait = read_member(tmp_path / "a.zip", "color/a.png")
    # 36 rows are missing above: they are those below, the other way up.
    assert np.array_equal(portrait[35::-1], portrait[37:73])


def test_faces_that_are_too_small_are_left_out(faces, tmp_path, capsys):
    photos, landmarks = faces
    chosen = ("faces", photos, "--landmarks", landmarks, "--size-px", 128, "--out")
    assert run(*chosen, tmp_path / "a.zip", "--max-enlarge", 1.5) == 0
    errors = capsys.readouterr().err
    assert "left out 1 of 4" in errors
    assert "small.png: its face would be enlarged 1.7 times, at most 1.5 is." in errors
    assert len(read_table(tmp_path / "a.zip")) == 3


@pytest.fixture
def album(tmp_path):
    """Thirty different photos of ten persons, whose landmarks are named without a folder."""
    names = [f"{number:06d}.png" for number in range(30)]
    for number, name in enumerate(names):
        photo = paint_face(UPRIGHT, 4, size=(128, 128), ground=60 + 3 * number)
        image.write(tmp_path / "photos" / name, photo)
    write_landmarks(tmp_path / "landmarks.txt", dict.fromkeys(names, UPRIGHT))
    return ("faces", tmp_path / "photos", "--landmarks", tmp_path / "landmarks.txt"), names


@pytest.mark.parametrize("separator", [" ", ","])
def test_no_person_is_in_two_splits(album, tmp_path, separator, capsys):
    command, names = album
    lines = [f"{name}{separator}{number % 10}" for number, name in enumerate(names[:-1])]
    lines = ["image_id,identity", *lines] if separator == "," else lines
    (tmp_path / "persons.txt").write_text("\n".join(lines))
    out = tmp_path / "out.zip"
    shares = ("--shares", 0.5, 0.25, 0.25)
    assert run(*command, "--groups", tmp_path / "persons.txt", *shares, "--out", out) == 0
    errors = capsys.readouterr().err
    assert "left out 1 that it does not name:\n  000029.png" in errors
    rows = read_table(out)
    assert all(int(row["group"]) == int(row["name"]) % 10 for row in rows) and len(rows) == 29
    groups = [{row["group"] for row in rows if row["split"] == split} for split in SPLITS]
    assert all(groups) and sum(map(len, groups)) == len(set.union(*groups)) == 10


def test_a_partition_is_kept(album, tmp_path):
    command, names = album
    wanted = {name: min(2, number // 12) for number, name in enumerate(names)}
    (tmp_path / "split.txt").write_text("".join(f"{n} {split}\n" for n, split in wanted.items()))
    out = tmp_path / "out.zip"
    assert run(*command, "--partition", tmp_path / "split.txt", "--out", out) == 0
    rows = read_table(out)
    assert {row["source"]: SPLITS.index(row["split"]) for row in rows} == wanted
    assert run("pictures", out, "--out", tmp_path / "lines.zip") == 0
    kept = [row["split"] for row in read_table(tmp_path / "lines.zip")]
    assert kept == [row["split"] for row in rows]


def test_photos_and_landmarks_need_not_be_the_same(album, tmp_path, capsys):
    command, names = album
    some = dict.fromkeys([*names[:20], *(f"missing{number:02d}.jpg" for number in range(12))])
    write_landmarks(tmp_path / "landmarks.txt", dict.fromkeys(some, UPRIGHT))
    assert run(*command, "--out", tmp_path / "out.zip") == 0
    errors = capsys.readouterr().err
    assert "12 of 32 photos are missing:\n  missing00.jpg" in errors and "and 2 more" in errors
    assert "10 of 30 have no landmarks:\n  000020.png" in errors
    write_landmarks(tmp_path / "landmarks.txt", {"other.jpg": UPRIGHT})
    assert run(*command, "--out", tmp_path / "none.zip") == 2
    assert "holds none of the 1 photos" in capsys.readouterr().err


HEADER = "2\n" + " ".join(COLUMNS) + "\n"
GOOD = "a.jpg 10 20 30 20 20 30 12 40 28 40\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (HEADER + GOOD + "b.jpg 1 2 3\n", "line 4: a name and 10 numbers were expected, got 4 f"),
        (HEADER + GOOD + GOOD.replace(" 28", " x"), "line 4: numbers were expected after"),
        (HEADER + GOOD + GOOD.replace(" 28", " nan"), "line 4: finite numbers were expected"),
        (HEADER + GOOD + "../" + GOOD, "line 4: a path within the folder of photos was expected"),
        (HEADER + GOOD + "/etc/" + GOOD, "got '/etc/a.jpg'"),
        (HEADER + GOOD + "C:\\" + GOOD, "line 4: a path within"),
        (HEADER + GOOD + "x\\..\\..\\" + GOOD, "line 4: a path within"),
        (HEADER + GOOD, "says that it has 2 faces, 1 follow: is it cut off?"),
        (HEADER.replace("nose_x", "nose") + GOOD, "line 2: no columns nose_x; CelebA's"),
        ("image_id,lefteye_x\na.jpg,3\n", "line 1: no columns lefteye_y, righteye_x,"),
        ("0\n" + " ".join(COLUMNS), "names no faces"),
        ("", "line 1: no columns"),
        (b"\xff\xfe\x00", "is no text in UTF-8"),
        (None, "was not found"),
    ],
)
def test_bad_landmarks_are_said_in_a_sentence(tmp_path, capsys, content, sentence):
    image.write(tmp_path / "in" / "a.jpg", paint_face(UPRIGHT, 3))
    path = tmp_path / "l.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert run("faces", tmp_path / "in", "--landmarks", path, "--out", tmp_path / "out.zip") == 2
    errors = capsys.readouterr().err
    assert sentence in errors and errors.count("\n") == 1
    assert not (tmp_path / "out.zip").exists()


@pytest.mark.parametrize(
    ("option", "content", "sentence"),
    [
        ("--partition", "000000.png 0\n000001.png 3\n", "line 2: one of 0, 1, 2 was expected, got"),
        ("--groups", "000000.png 1\n000001.png\n", "line 2: a name and a value were expected"),
        ("--groups", "000000.png 1\n000000.png 2\n", "line 2: '000000.png' had '1' before"),
        ("--groups", "x.png 1\n", "names none of the photos that have landmarks"),
        ("--max-border", "2", "--max-border from 0 to 1; got 2 and 2."),
        ("--max-enlarge", "nan", "--max-enlarge must be above 0"),
        ("--eye-distance", "0", "between 0 and 1; got 0 and 0.46875."),
    ],
)
def test_bad_options_of_faces(album, tmp_path, capsys, option, content, sentence):
    if "\n" in content:
        (tmp_path / "given.txt").write_text(content)
        content = tmp_path / "given.txt"
    assert run(*album[0], option, content, "--out", tmp_path / "out.zip") == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_a_face_on_one_point(tmp_path, capsys):
    image.write(tmp_path / "in" / "a.png", paint_face(UPRIGHT, 3))
    path = write_landmarks(tmp_path / "l.txt", {"a.png": np.full((5, 2), 7.0)})
    assert run("faces", tmp_path / "in", "--landmarks", path, "--out", tmp_path / "o.zip") == 2
    assert "a.png: its landmarks lie on one point." in capsys.readouterr().err
    assert run("faces", tmp_path / "in", "--landmarks", path, "--out", path, "--force") == 2
    assert "give another --out" in capsys.readouterr().err


def test_least_squares_of_five_points():
    points = turn(UPRIGHT, scale=1.7, degrees=50)
    noise = np.random.default_rng(0).normal(0, 3, points.shape)
    matrix = sources.fit_similarity(points + noise, UPRIGHT)
    assert np.isclose(matrix[0, 0], matrix[1, 1]) and np.isclose(matrix[0, 1], -matrix[1, 0])
    system = np.array([row for x, y in points + noise for row in ((x, -y, 1, 0), (y, x, 0, 1))])
    a, b, *shift = np.linalg.lstsq(system, UPRIGHT.ravel(), rcond=None)[0]
    assert np.allclose(matrix, [[a, -b, shift[0]], [b, a, shift[1]]])


# -- objects ---------------------------------------------------------------------------------------

SIZE = (300, 400)


def make_object(key, photo, box, *, category=1, crowd=0, **more):
    x, y, width, height = box
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    return {
        "id": key,
        "image_id": photo,
        "category_id": category,
        "bbox": list(box),
        "area": width * height,
        "iscrowd": crowd,
        "segmentation": [corners],
    } | more


class Scene:
    """Photos of red boxes on grey, and their annotations."""

    def __init__(self, root):
        self.root = root
        self.content = {
            "images": [],
            "annotations": [],
            "categories": [
                {"id": 1, "name": "dog"},
                {"id": 2, "name": "hot dog"},
                {"id": 3, "name": "toothbrush"},
            ],
        }
        self.out = root / "out.zip"

    def add(self, *boxes, **more):
        """Add a photo with these boxes, painted and annotated."""
        key = len(self.content["images"])
        name = f"{key:012d}.png"
        photo = np.full((*SIZE, 3), 90 + key, np.uint8)
        for x, y, width, height in boxes:
            photo[y : y + height, x : x + width] = (250, 0, key)
        image.write(self.root / "photos" / name, photo)
        width_px, height_px = SIZE[::-1]
        self.content["images"].append(
            {"id": key, "file_name": name, "width": width_px, "height": height_px}
        )
        for box in boxes:
            number = len(self.content["annotations"])
            self.content["annotations"].append(make_object(number, key, box, **more))
        return self

    def write(self):
        path = self.root / "instances.json"
        path.write_text(json.dumps(self.content))
        return path

    def run(self, *options):
        chosen = ("--annotations", self.write(), "--out", self.out, "--force", *options)
        return run("masks", self.root / "photos", *chosen)


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def test_objects_become_pictures_with_masks(scene, tmp_path, capsys):
    for number in range(9):
        scene.add((60 + 10 * number, 80, 120, 100), category=1 + number % 2)
    scene.add((100, 100, 120, 100), category=3)
    assert scene.run("--size-px", 90, "--shares", 0.5, 0.25, 0.25) == 0
    errors = capsys.readouterr().err
    assert "classes with fewer than 10:\n  dog: 5\n  hot dog: 4" in errors
    rows = read_table(scene.out)
    assert list(rows[0]) == ["name", "color", "mask", "class", "group", "split", "source"]
    assert Counter(row["class"] for row in rows) == {"dog": 5, "hot dog": 4}
    assert all(row["group"] == row["source"] for row in rows)
    assert sorted(row["name"] for row in rows)[0] == "dog/000000000000_0"
    count = 0
    for split in SPLITS:
        for sample in open_pictures(scene.out, split, size_px=80):
            count += 1
            is_red = sample.photo[..., 1] < 50
            assert sample.mask.shape == (80, 80) and sample.label in ("dog", "hot dog")
            assert set(np.unique(sample.mask)) == {0, 255}
            wrong = (sample.mask == 255) != is_red
            assert 0.15 < is_red.mean() < 0.6 and wrong.mean() < 0.035
    assert count == 9
    shapes = [read_member(scene.out, row["color"]).shape for row in rows]
    assert all(min(shape[:2]) == 90 for shape in shapes) and len(set(shapes)) > 1
    for row, shape in zip(rows, shapes, strict=True):
        assert read_member(scene.out, row["mask"]).shape == shape


def test_the_seed_decides(scene, tmp_path):
    for number in range(12):
        scene.add((60 + 5 * number, 80, 120, 100))
    outs = []
    for options in ((), (), ("--seed", 1), ("--centered",)):
        assert scene.run("--num", 4, *options) == 0
        outs.append(scene.out.read_bytes())
        assert len(read_table(scene.out)) == 4
    assert outs[0] == outs[1] and len(set(outs)) == 3
    scene.content["images"].reverse()
    scene.content["annotations"].reverse()
    assert scene.run("--num", 4) == 0
    assert scene.out.read_bytes() == outs[0]


def test_a_photo_is_in_one_split(scene):
    for number in range(8):
        scene.add((20, 60, 130, 150), category=1)
        scene.content["annotations"].append(
            make_object(100 + number, number, (210, 60, 130, 150), category=2)
        )
    assert scene.run("--shares", 0.4, 0.3, 0.3) == 0
    rows = read_table(scene.out)
    assert len(rows) == 16
    splits = {row["source"]: set() for row in rows}
    for row in rows:
        splits[row["source"]].add(row["split"])
    assert all(len(found) == 1 for found in splits.values()) and len(splits) == 8
    assert {row.split for row in read_rows(sources.open_files(scene.out))} == set(SPLITS)


BOX = (100, 80, 120, 100)


def choose(*objects):
    instances = [
        sources.Instance(id=key, box=(), area=area, is_crowd=is_crowd, segmentation=[])
        for key, (area, is_crowd) in enumerate(objects)
    ]
    chosen, passed = sources.choose_instances(instances)
    return [one.id for one in chosen], dict(passed)


def test_which_objects_are_taken():
    assert choose((9, False)) == ([0], {})
    assert choose((5, False), (9, False)) == ([1, 0], {})
    assert choose((2, False), (10, False)) == ([1, 0], {})
    assert choose((1.9, False), (10, False)) == ([1], {"beside a much larger one": 1})
    three = ((9, False),) * 3
    assert choose(*three) == ([], {"among three or more of their class": 3})
    assert choose((9, True), (4, False), (90, True)) == ([1], {"crowds": 2})
    assert choose((9, True)) == ([], {"crowds": 1})


def test_filters_from_the_file_on(scene, capsys):
    scene.add(BOX)
    scene.add((20, 40, 90, 90), (120, 40, 90, 90), (220, 40, 90, 90))
    scene.add((20, 40, 200, 200), (240, 40, 80, 80))
    scene.add(BOX, crowd=1)
    scene.add((100, 50, 30, 200))
    scene.add((100, 100, 40, 40))
    assert scene.run() == 0
    errors = capsys.readouterr().err
    for line in (
        "1 beside a much larger one",
        "1 crowds",
        "3 among three or more of their class",
        "2 window too small or too long",
    ):
        assert f"\n  {line}" in errors
    # The small one beside a large one is not read, though it came last in the file.
    assert sorted(row["name"] for row in read_table(scene.out)) == [
        "dog/000000000000_0",
        "dog/000000000002_4",
    ]


@pytest.mark.parametrize("centered", [True, False])
def test_windows(centered):
    box, size = (1000.5, 1500.25, 200, 160), (4000, 4000)
    offsets, widenings = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        rows, columns = sources.place_window(box, size, rng, centered=centered)
        assert rows.start <= box[1] and rows.stop >= box[1] + box[3]
        assert columns.start <= box[0] and columns.stop >= box[0] + box[2]
        across, down = columns.stop - columns.start, rows.stop - rows.start
        assert abs(across / 200 - down / 160) < 0.03
        widening = across / 200
        before = (box[0] + 100 - columns.start) / 200, (box[1] + 80 - rows.start) / 160
        if centered:
            assert np.allclose(before, widening / 2, atol=0.02)
        widenings.append(widening)
        offsets.append((np.array(before) - 0.5) / (widening - 1))
    offsets = np.array(offsets)
    assert 1.5 <= min(widenings) < 1.53 and 1.97 < max(widenings) <= 2.02
    if not centered:
        assert offsets.min() < 0.05 and offsets.max() > 0.95 and abs(offsets.mean() - 0.5) < 0.05
        assert abs(np.corrcoef(offsets.T)[0, 1]) < 0.15


def test_windows_are_clipped_and_limited():
    def place(*box, size=(300, 400)):
        return sources.place_window(box, size, np.random.default_rng(0), centered=True)

    rows, columns = place(0, 0, 200, 150)
    assert rows.start == columns.start == 0 and 150 < rows.stop < 300
    assert place(10, 10, 380, 280) == (slice(0, 300), slice(0, 400))
    assert place(150, 100, 39, 39) is None  # at most 78 px
    assert place(150, 100, 54, 54) is not None  # at least 81 px
    assert place(100, 100, 180, 80) is None  # longer than twice its width
    assert place(100, 100, 150, 80) is not None
    assert place(0, 0, 90, 390, size=(400, 100)) is None  # clipped to 100 x 400
    assert place(0, 0, 0, 0) is None


def test_run_lengths():
    # By hand: 100 is T3, 3 is 3, 40 is X1; then 1 - 3 = -2 is N and 6 - 40 = -34 is nN.
    assert sources.decode_counts("T33X1NnN") == [100, 3, 40, 1, 6]
    flat = np.repeat(np.array([0, 255, 0, 255, 0], np.uint8), [100, 3, 40, 1, 6])
    wanted = flat.reshape(15, 10).T
    for counts in ("T33X1NnN", [100, 3, 40, 1, 6]):
        mask = sources.draw_mask({"size": [10, 15], "counts": counts}, (10, 15))
        assert mask.dtype == np.uint8 and np.array_equal(mask, wanted)


def test_polygons():
    square = [10, 5, 20, 5, 20, 15, 10, 15]
    mask = sources.draw_mask([square, [15, 10, 30, 10, 30, 20, 15, 20]], (30, 40))
    wanted = np.zeros((30, 40), np.uint8)
    wanted[5:15, 10:20] = wanted[10:20, 15:30] = 255  # where two overlap, it is filled too
    assert np.count_nonzero(mask != wanted) <= 2 * 55  # OpenCV fills the border line too
    assert not (cv2.erode(wanted, np.ones((3, 3))) & ~mask).any()
    assert not (mask & ~cv2.dilate(wanted, np.ones((3, 3)))).any()
    outside = sources.draw_mask([[-1e9, -1e9, 1e9, -1e9, 1e9, 1e9, -1e9, 1e9]], (30, 40))
    assert (outside == 255).all()


def test_masks_of_runs_come_through(scene):
    mask = np.zeros(SIZE, np.uint8)
    mask[80:180, 100:220] = 1
    changes = np.flatnonzero(np.diff(np.r_[0, mask.T.ravel(), 0]))
    runs = np.diff(np.r_[0, changes, mask.size]).tolist()
    scene.add(BOX, segmentation={"size": [*SIZE], "counts": runs})
    assert scene.run("--shares", 1, 0, 0) == 0
    (row,) = read_table(scene.out)
    color, mask = (read_member(scene.out, row[part]) for part in ("color", "mask"))
    assert np.array_equal(mask[..., 0] == 255, color[..., 1] < 50)


@pytest.mark.parametrize(
    ("segmentation", "sentence"),
    [
        ([], "the mask of annotation 0 is blank"),
        ([[1, 2, 3]], "segmentation is not as COCO has it"),
        ([[1, 2, 3, 4]], "a polygon has three corners and more"),
        ([[1, 2, 3, 4, 5, float("nan")]], "all finite"),
        ([[1, 2, 3, 4, 5, "x"]], "segmentation is not as COCO has it"),
        (7, "segmentation is not as COCO has it"),
        ({"size": [300, 400]}, "its segmentation has no 'counts'"),
        ({"size": [3, 4], "counts": [12]}, "it is of [3, 4] pixels, the photo of [300, 400]"),
        ({"size": [300, 400], "counts": [12]}, "its runs don't make 300 x 400 pixels"),
        ({"size": [300, 400], "counts": [-1, 120001]}, "its runs don't make"),
        ({"size": [300, 400], "counts": "\n"}, "no compressed text"),
        ({"size": [300, 400], "counts": "oooooooooooo"}, "no compressed text"),
        ({"size": [300, 400], "counts": "T"}, "its runs are cut off"),
    ],
)
def test_a_bad_segmentation_is_left_out(scene, capsys, segmentation, sentence):
    scene.add(BOX, segmentation=segmentation).add(BOX)
    assert scene.run() == 0
    errors = capsys.readouterr().err
    assert "left out 1 of 2:\n  000000000000.png: " in errors and sentence in errors
    assert [row["source"] for row in read_table(scene.out)] == ["000000000001.png"]


def test_photos_that_do_not_fit_are_left_out(scene, capsys):
    scene.add(BOX).add(BOX).add(BOX)
    image.write(scene.root / "photos" / "000000000000.png", np.zeros((400, 300, 3), np.uint8))
    (scene.root / "photos" / "000000000001.png").unlink()
    scene.content["annotations"].append(make_object(9, 77, BOX))
    assert scene.run() == 0
    errors = capsys.readouterr().err
    assert "it is 300 x 400 px, its annotations are for 400 x 300" in errors
    assert "1 of 3 photos are missing:\n  000000000001.png" in errors
    assert "left out 1 annotations of photos it does not list" in errors
    assert len(read_table(scene.out)) == 1


def test_classes_can_be_chosen(scene, capsys):
    scene.add(BOX).add(BOX, category=2).add(BOX, category=3)
    assert scene.run("--classes", "toothbrush", "hot dog") == 0
    assert [row["class"] for row in read_table(scene.out)] == ["toothbrush", "hot dog"]
    assert scene.run("--classes", "dog", "dragon") == 2
    assert "has no class dragon; its classes are dog, hot dog, too" in capsys.readouterr().err
    scene.content["categories"] = [{"id": 3, "name": "toothbrush"}]
    assert scene.run() == 2
    errors = capsys.readouterr().err
    assert "no class of the default ones; its classes are toothbrush: choose" in errors


def spoil(**changes):
    """Return a function that changes the first annotation of a file; None removes a key."""

    def change(content):
        one = content["annotations"][0]
        one.update(changes)
        for key in [key for key, value in changes.items() if value is None]:
            del one[key]

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (spoil(bbox=None), "annotations[0] has no 'bbox'."),
        (spoil(bbox=[1, 2, 3]), "annotations[0] is not as COCO has it: a bbox of four numbers"),
        (spoil(bbox="abcd"), "annotations[0] is not as COCO has it"),
        (spoil(bbox=[1, 2, 3, float("inf")]), "a bbox of four numbers"),
        (spoil(image_id=[1]), "a number or a text was expected as id, got [1]"),
        (spoil(segmentation=None), "annotations[0] has no 'segmentation'."),
        (lambda content: content["annotations"].append(3), "annotations[1] is not as COCO has"),
        (lambda content: content.pop("images"), "has no list 'images'"),
        (lambda content: content.update(categories={}), "has no list 'categories'"),
        (
            lambda content: content["images"][0].update(file_name="../up.png"),
            "image 0: a path within the folder of photos was expected, got '../up.png'.",
        ),
        (
            lambda content: content["images"][0].update(file_name="/etc/passwd"),
            "got '/etc/passwd'",
        ),
        (lambda content: content["images"][0].update(width="wide"), "images[0] is not as COCO"),
        (lambda content: content["images"][0].update(width=1e999), "images[0] is not as COCO"),
        (lambda content: content["images"][0].update(file_name="no.png"), "holds none of the 1"),
        (spoil(bbox=[1, 2, 3, 4]), "can be used."),
    ],
)
def test_bad_annotations_are_said_in_a_sentence(scene, capsys, change, sentence):
    scene.add(BOX)
    change(scene.content)
    assert scene.run() == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert not scene.out.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", "has no list 'categories'"),
        ('{"images": [,]}', "line 1, column 13: no JSON (Expecting value)."),
        ("[" * 200_000, "could not be read as JSON"),
        ("", "line 1, column 1: no JSON"),
    ],
)
def test_what_is_no_json(scene, capsys, content, sentence):
    scene.add(BOX)
    path = scene.root / "bad.json"
    path.write_text(content)
    chosen = ("masks", scene.root / "photos", "--out", scene.out, "--annotations")
    assert run(*chosen, path) == 2
    errors = capsys.readouterr().err
    assert sentence in errors and errors.count("\n") == 1
    assert run(*chosen, scene.root / "none.json") == 2
    assert "none.json' was not found" in capsys.readouterr().err


def test_files_too_large_are_not_read(scene, monkeypatch):
    path = scene.add(BOX).write()
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 100)
    with pytest.raises(S2IError, match=r"at most 0\.0 GB are read: split it"):
        sources.read_annotations(path)


def test_num_must_be_positive(scene, capsys):
    assert scene.add(BOX).run("--num", 0) == 2
    assert "--num must be at least 1, got 0." in capsys.readouterr().err


# -- the Sketchy database --------------------------------------------------------------------------

FLAGGED = {
    ("alarm_clock", "n01_1", 1): (),
    ("alarm_clock", "n01_1", 2): ("Error?",),
    ("alarm_clock", "n01_1", 3): ("WrongPose?",),
    ("alarm_clock", "n01_2", 1): ("Context?", "Ambiguous?"),
    ("bear", "n02_7", 1): (),
    ("bear", "n02_7", 2): (),
    ("bear", "n02_8", 1): (),
}


def write_sketchy(folder, *, test=("alarm_clock/n01_2.jpg", "bear/n02_7.jpg")):
    """A small tree like the database's: discs, their outlines as sketches, two variants of each."""
    columns = [*sources._KEYS, "Stroke_Count", *sources.FLAGS.values()]
    table = [",".join(["CategoryID", *columns])]
    for number, ((label, photo, sketch), flags) in enumerate(FLAGGED.items()):
        shade = 40 * list(dict.fromkeys(key[1] for key in FLAGGED)).index(photo)
        for variant, at in ((sources.VARIANT, 30), ("tx_000100000000", 40)):
            page = np.full((64, 64, 3), (200, shade, 90), np.uint8)
            cv2.circle(page, (at, 32), 12, (20, shade, 250), -1)
            image.write(folder / "photo" / variant / label / f"{photo}.png", page)
            page = np.full((64, 64, 3), 255, np.uint8)
            cv2.circle(page, (at + number, 32), 12, (0, 0, 0), 2)
            path = folder / "sketch" / variant / label / f"{photo}-{sketch}.png"
            image.write(path, page)
        marks = [str(int(column in flags)) for column in sources.FLAGS.values()]
        table.append(",".join(["0", label.replace("_", " "), photo, str(sketch), "9", *marks]))
    (folder / "info").mkdir(exist_ok=True)
    (folder / "info" / "stats.csv").write_text("\n".join(table) + "\n")
    if test:
        (folder / "info" / "testset.txt").write_text("\n".join(test) + "\n")
    return folder


@pytest.fixture
def sketchy(tmp_path):
    return write_sketchy(tmp_path / "256x256")


def test_sketches_come_with_their_photos_and_errors_do_not(sketchy, tmp_path, capsys):
    out = tmp_path / "out.zip"
    assert run("sketchy", sketchy, "--out", out) == 0
    assert "1 flagged Error?" in capsys.readouterr().err
    rows = read_table(out)
    assert [row["name"] for row in rows] == [
        f"{label}/{photo}-{sketch}"
        for (label, photo, sketch), flags in FLAGGED.items()
        if "Error?" not in flags
    ]
    assert list(rows[0]) == ["name", "color", "lines", "class", "group", "split", "source"]
    for row in rows:
        assert row["class"] == row["name"].partition("/")[0]
        assert (row["split"] == "test") == (row["group"] in ("n01_2", "n02_7"))
        lines = read_member(out, row["lines"])[..., 0]
        assert lines.shape == (64, 64) and 0.02 < (lines < 128).mean() < 0.1
    photos = {row["group"]: row["color"] for row in rows}
    assert all(row["color"] == photos[row["group"]] for row in rows), "a photo lies there once"
    assert read_member(out, photos["n02_8"])[32, 30].tolist() == [20, 120, 250]
    samples = open_pictures(out, "test", size_px=32)
    assert {one.label for one in samples} == {"alarm_clock", "bear"}
    assert all(one.lines is not None for one in samples)


def test_a_photo_is_in_one_split_with_and_without_testset(sketchy, tmp_path):
    (sketchy / "info" / "testset.txt").unlink()
    shares = ("--shares", 0.4, 0.3, 0.3)
    assert run("sketchy", sketchy, *shares, "--out", tmp_path / "dealt.zip") == 0
    write_sketchy(sketchy, test=("bear/n02_8.jpg",))
    assert run("sketchy", sketchy, *shares, "--out", tmp_path / "given.zip") == 0
    for name, wanted in (("dealt", set(SPLITS)), ("given", set(SPLITS))):
        rows = read_table(tmp_path / f"{name}.zip")
        pairs = {(row["group"], row["split"]) for row in rows}
        assert len(pairs) == len({group for group, _ in pairs}) == 4
        assert {split for _, split in pairs} == wanted
    assert {row["group"] for row in rows if row["split"] == "test"} == {"n02_8"}


def test_flags_variants_and_classes_are_chosen(sketchy, tmp_path):
    names = ("error", "pose", "context", "ambiguous")
    chosen = ("--photo-variant", "tx_000100000000", "--drop", *names)
    assert run("sketchy", sketchy.parent, *chosen, "--info", sketchy / "info", "--out",
               tmp_path / "a.zip") == 0  # fmt: skip
    rows = read_table(tmp_path / "a.zip")
    assert [row["name"] for row in rows] == [
        f"{label}/{photo}-{sketch}"
        for (label, photo, sketch), flags in FLAGGED.items()
        if not flags
    ]
    photo, lines = (read_member(tmp_path / "a.zip", rows[0][part]) for part in ("color", "lines"))
    columns = [np.nonzero(part)[1].mean() for part in (photo[..., 2] > 200, lines[..., 0] < 128)]
    assert np.allclose(columns, (40, 30), atol=0.5)
    assert run("sketchy", sketchy, "--classes", "bear", "--out", tmp_path / "b.zip") == 0
    assert {row["class"] for row in read_table(tmp_path / "b.zip")} == {"bear"}


def test_sketches_that_do_not_fit_are_named(sketchy, tmp_path, capsys):
    image.write(sketchy / "sketch" / sources.VARIANT / "bear" / "n02_8-9.png", DOT)
    (sketchy / "sketch" / sources.VARIANT / "bear" / "n02_7-2.png").unlink()
    (sketchy / "photo" / sources.VARIANT / "alarm_clock" / "n01_2.png").unlink()
    assert run("sketchy", sketchy, "--out", tmp_path / "out.zip") == 0
    said = capsys.readouterr().err
    assert "1 not in stats.csv" in said and "1 without their photo" in said
    assert "1 sketches are missing:\n  bear/n02_7-2" in said
    assert len(read_table(tmp_path / "out.zip")) == 4


DOT = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    "options, spoil, sentence",
    [
        (("--sketch-variant", "tx_1"), None, "no sketch/tx_1; it has tx_000000000000, tx_0001"),
        (("--classes", "bear", "cow"), None, "no class cow; its classes are alarm_clock, bear"),
        (("--info", "nowhere"), None, "no stats.csv lies in 'nowhere'"),
        ((), ("stats.csv", "Error?", "Oops"), "line 1: no columns Error?"),
        ((), ("stats.csv", "0,bear,n02_8,1,9,0", "0,bear,n02_8,1,9,x"), "as Error?, got 'x'"),
        ((), ("stats.csv", "0,bear,n02_8,1,9,0", "0,bear,n02_8,1,9"), "9 fields"),
        ((), ("testset.txt", None, "\n"), "names no photos"),
    ],
)
def test_what_is_wrong_with_a_tree_is_one_sentence(
    sketchy, tmp_path, capsys, options, spoil, sentence
):
    if spoil:
        path = sketchy / "info" / spoil[0]
        path.write_text(path.read_text().replace(*spoil[1:]) if spoil[1] else spoil[2])
    assert run("sketchy", sketchy, *options, "--out", tmp_path / "out.zip") == 2
    assert sentence in capsys.readouterr().err and not (tmp_path / "out.zip").exists()


def test_a_folder_without_sketches_is_no_database(faces, tmp_path, capsys):
    assert run("sketchy", faces[0], "--out", tmp_path / "out.zip") == 2
    assert "the Sketchy database's folders photo and sketch" in capsys.readouterr().err
