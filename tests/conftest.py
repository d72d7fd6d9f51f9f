"""Only loopback is reachable from tests; golden pictures; a small zoo of weights."""

from __future__ import annotations

import ipaddress
import os
import socket

import pytest

# Read when torch is imported: threads that wait for each other in a loop, on a machine that does
# something else besides, cost ten times the time of the small networks here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

collect_ignore = ["toy_method"]  # a newcomer's files, which tests/test_new_method.py lays out

_sheets = pytest.StashKey[list]()


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the golden pictures that changed, with a sheet of before, after, difference",
    )


def pytest_configure(config):
    config.stash[_sheets] = []


def pytest_terminal_summary(terminalreporter, config):
    for sheet in config.stash[_sheets]:
        terminalreporter.write_line(f"golden picture rewritten, look at {sheet}")


@pytest.fixture
def sheets(request):
    """Return the list of sheets to name when the tests are done; None when not updating."""
    is_updating = request.config.getoption("--update-golden")
    return request.config.stash[_sheets] if is_updating else None


_connect, _connect_ex = socket.socket.connect, socket.socket.connect_ex


def _check(family: int, address) -> None:
    if family == getattr(socket, "AF_UNIX", None):
        return
    host = address[0]
    try:
        is_near = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_near = host == "localhost"
    if not is_near:
        raise PermissionError(f"tests reach loopback only, this one asked for {host}")


@pytest.fixture(autouse=True, scope="session")
def only_loopback():
    """Refuse every connection that leaves the machine."""

    def connect(self, address):
        _check(self.family, address)
        return _connect(self, address)

    def connect_ex(self, address):
        _check(self.family, address)
        return _connect_ex(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        yield


def _refuse_skip(report, *, is_allowed: bool = False):
    """Turn a skip into a failure where ``S2I_NO_SKIPS`` asks for it; the reason stays."""
    is_asked = os.environ.get("S2I_NO_SKIPS") == "1"
    if is_asked and report.skipped and not is_allowed and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"S2I_NO_SKIPS lets nothing skip: {report.longrepr[2]}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Let only tests that need a GPU skip."""
    return _refuse_skip((yield), is_allowed=item.get_closest_marker("gpu") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    """Let no module skip."""
    return _refuse_skip((yield))


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """Hide the settings of whoever runs the tests."""
    for name in ("S2I_WEIGHTS", "S2I_MANIFEST", "S2I_DEVICE", "S2I_PRECISION", "S2I_BACKEND"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def zoo(monkeypatch, tmp_path):
    """Return a folder whose manifest and weights are in use, with the method Tiny and no weight."""
    import tiny

    from s2i import methods, weights

    monkeypatch.setattr(methods, "METHODS", (tiny.Tiny,))
    monkeypatch.setenv("S2I_DEVICE", "cpu")
    folder = tmp_path / "zoo"
    folder.mkdir()
    (folder / "weights_manifest.json").write_text('{"version": 1, "weights": {}}\n')
    monkeypatch.setenv("S2I_MANIFEST", str(folder / "weights_manifest.json"))
    weights._loaded.clear()
    yield folder
    weights._loaded.clear()


@pytest.fixture
def publish_tiny(zoo):
    """Return a function that publishes a Tiny under a name, through the real publishing code."""
    import safetensors.torch
    import tiny

    from train.publish import publish

    def publish_tiny(name="tiny.demo", *, width=4, bias=0.0):
        method = tiny.Tiny(width=width)
        method.generator.bias.data.fill_(bias)
        header = {
            "method": "tiny",
            "kwargs": f'{{"width": {width}}}',
            "images_seen": "4800",
            "seconds": "61",
        }
        run = zoo / "run"
        run.mkdir(exist_ok=True)
        tensors = {key: value.clone() for key, value in method.state_dict().items()}
        safetensors.torch.save_file(tensors, run / "ema.safetensors", header)
        (run / "config.json").write_text('{"size_px": 128, "batch": 16}')
        (run / "summary.json").write_text('{"machine": "an abacus, 2 cores"}')
        return publish(run, name, license="CC0-1.0", data="Drawings of our own making.")

    return publish_tiny
