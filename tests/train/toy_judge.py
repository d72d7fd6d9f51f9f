"""A judge of pictures that needs no weights."""

import numpy as np


class Distance:
    """Stands in for LPIPS and MobileNetV2: mean absolute difference; a picture's mean color."""

    def __init__(self, **_):
        pass

    def __call__(self, first, second):
        pairs = zip(first, second, strict=True)
        return np.array([np.abs(one.astype(float) - other).mean() / 255 for one, other in pairs])

    distance = __call__

    def embed(self, pictures):
        flat = np.stack([picture.ravel() for picture in pictures]).astype(np.float32)
        return flat / 255 / np.sqrt(flat.shape[1])

    def pooled(self, pictures):
        return np.stack([np.append(x.mean((0, 1)), x.std((0, 1))) for x in pictures]) / 255
