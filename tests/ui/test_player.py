"""A sketched video plays in the browser, with the weights that ship."""

from __future__ import annotations

import base64
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

import s2i.methods
from s2i import image, video
from s2i.__main__ import main
from s2i.methods.image2sketch import Image2Sketch

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
RATE = Fraction(24000, 1001)
PLAY = """async (url) => {
  const player = document.createElement('video');
  player.muted = true;
  player.src = url;
  const ended = new Promise((done, fail) => {
    player.onended = done;
    player.onerror = () => fail(new Error(player.error.message));
  });
  await player.play();
  await ended;
  const page = new OffscreenCanvas(player.videoWidth, player.videoHeight).getContext('2d');
  page.drawImage(player, 0, 0);
  const seen = [...page.getImageData(0, 0, player.videoWidth, player.videoHeight).data];
  return [player.videoWidth, player.videoHeight, player.duration, seen];
}"""


def test_three_seconds_are_sketched_and_play(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(s2i.methods, "METHODS", (Image2Sketch,))
    monkeypatch.setenv("S2I_MANIFEST", str(ROOT / "weights_manifest.json"))
    photo = image.read_photo(ROOT / "examples" / "image2sketch.pencil" / "mug.photo.jpg")
    photo = cv2.resize(photo, (160, 160), interpolation=cv2.INTER_AREA)
    frames = [np.roll(photo, number // 8, axis=1) for number in range(72)]
    clip, made = tmp_path / "clip.mp4", tmp_path / "sketched.mp4"
    video.write_video(clip, frames, rate=RATE)
    assert main(["image2sketch", str(clip), "--resolution", "304", "-o", str(made)]) == 0
    opened = video.open_clip(made)
    assert (opened.rate, len(opened)) == (RATE, 72)

    page = browser.new_page()
    url = f"data:video/mp4;base64,{base64.b64encode(made.read_bytes()).decode()}"
    width, height, seconds, seen = page.evaluate(PLAY, url)
    page.close()
    assert (width, height) == (160, 160) and seconds == pytest.approx(72 / float(RATE), abs=0.05)
    (*_, last) = video.read_frames(opened)
    shown = np.array(seen, np.uint8).reshape(160, 160, 4)[..., :3]
    assert np.abs(shown.astype(int) - last).mean() < 6 and last.std() > 20
