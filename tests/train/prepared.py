"""What train/prepare.py is asked, and what lies in the zip that it wrote."""

import csv
import io
import zipfile

from s2i import image
from train import prepare


def run(*arguments):
    return prepare.main([str(argument) for argument in arguments])


def read_table(path):
    with zipfile.ZipFile(path) as file:
        return list(csv.DictReader(io.StringIO(file.read("meta.csv").decode())))


def read_member(path, name):
    with zipfile.ZipFile(path) as file:
        return image.read_layer(file.read(name))[..., :3]
