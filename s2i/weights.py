"""From a name to a method that is ready to run: manifest, file, hash, networks, device.

A weight is one safetensors file that rebuilds its method alone: every network of the method under
its own prefix, fp16, and in the header's metadata ``method``, ``kwargs`` (JSON) and ``recipe``.
The manifest says which files there are and what is known about them. A file is looked for in the
folder that ``S2I_WEIGHTS`` names, in ``weights/`` beside the manifest, in the Hub's cache, and on
the Hub; wherever it was found, its size and sha256 are checked each time it is read.

Environment: ``S2I_WEIGHTS`` (folder), ``S2I_MANIFEST`` (file), ``S2I_DEVICE`` (``cpu``, ``cuda``,
``mps``...), ``S2I_PRECISION`` (``float32``, ``bfloat16``), ``S2I_BACKEND`` (``openvino``), and the
Hub's own ``HF_HOME``, ``HF_ENDPOINT``, ``HF_HUB_OFFLINE``, ``HF_TOKEN``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from s2i import backends
from s2i.errors import S2IError
from s2i.image import write_bytes
from s2i.methods import find_method
from s2i.methods.base import Method

NAME_PATTERN = re.compile(r"[a-z0-9_]+\.[a-z0-9_-]+")
MAX_LOADED = 8
MAX_HEADER_BYTES = 1 << 20
HUB_TIMEOUT_SECONDS = 10

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the manifest says about one weight.

    Attributes:
        name: ``method.what_it_paints``.
        method: name of the method that the file holds.
        file: path below the weights folder, and inside ``repo_id``.
        bytes: size of the file.
        sha256: of the whole file, 64 hex digits.
        parameters: numbers in all networks of the file together.
        repo_id: where on the Hub the file lies; empty where it was not uploaded.
        revision: the Hub commit that holds it, 40 hex digits.
        size_px: side of the pictures it was trained on.
        reads: layers of a drawing that it reads.
        license: of the weight, as an SPDX name where there is one.
        data: one sentence on the pictures it was trained on.
        recipe: file below train/recipes that made it.
        commit: of this repository when it was published.
        images_seen: pictures that passed through training.
        seconds: how long training took.
        machine: where it ran.
        scores: name to number, as train/evaluate.py measured them.
    """

    name: str
    method: str
    file: str
    bytes: int
    sha256: str
    parameters: int = 0
    repo_id: str = ""
    revision: str = ""
    size_px: int = 0
    reads: tuple[str, ...] = ()
    license: str = ""
    data: str = ""
    recipe: str = ""
    commit: str = ""
    images_seen: int = 0
    seconds: float = 0
    machine: str = ""
    scores: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what loading relies on.

        Raises:
            S2IError: a field that can't be meant.
        """
        wanted = {
            "name": isinstance(self.name, str) and NAME_PATTERN.fullmatch(self.name),
            "method": isinstance(self.method, str),
            "file": isinstance(self.file, str),
            "bytes": isinstance(self.bytes, int) and self.bytes > 0,
            "sha256": isinstance(self.sha256, str) and re.fullmatch("[0-9a-f]{64}", self.sha256),
            "repo_id": isinstance(self.repo_id, str),
            "revision": not self.repo_id or re.fullmatch("[0-9a-f]{40}", str(self.revision)),
        }
        for name, is_fine in wanted.items():
            if not is_fine:
                value = getattr(self, name)
                raise S2IError(
                    f"the manifest's entry '{self.name}' has an unusable {name}: {value!r}."
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """A method that is ready to run.

    Attributes:
        name: the entry's, or the file's where no entry was asked for.
        method: built, on ``device``, in evaluation mode, float32, without gradients.
        entry: what the manifest says; ``None`` for a bare file.
        origin: ``folder``, ``bundled``, ``cache``, ``hub`` or ``file``.
        path: the file that was read.
        is_verified: whether size and sha256 are those of the manifest.
        device: where the networks are.
    """

    name: str
    method: Method
    entry: Entry | None
    origin: str
    path: Path
    is_verified: bool
    device: torch.device


def manifest_path() -> Path:
    """Return the manifest in use: ``S2I_MANIFEST``, else the one that came with the code."""
    default = Path(__file__).resolve().parent.parent / "weights_manifest.json"
    return Path(os.environ.get("S2I_MANIFEST") or default)


def entries(method: str | None = None) -> tuple[Entry, ...]:
    """List the manifest's entries, those of one ``method`` or all, in the manifest's order.

    Raises:
        S2IError: the manifest is missing, damaged, or holds an entry that can't be meant.
    """
    path = manifest_path()
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["weights"].items()
    except FileNotFoundError:
        raise S2IError(f"the manifest '{path}' was not found: check S2I_MANIFEST.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise S2IError(f"the manifest '{path}' could not be read ({error!r}).") from None
    found = tuple(_read_entry(name, fields) for name, fields in listed)
    return tuple(entry for entry in found if method in (None, entry.method))


def _read_entry(name: str, fields: Any) -> Entry:
    try:
        return Entry(name=name, **{**fields, "reads": tuple(fields.get("reads", ()))})
    except (TypeError, AttributeError) as error:
        raise S2IError(f"the manifest's entry '{name}' could not be read ({error}).") from None


def find(name: str) -> Entry:
    """Return the manifest's entry ``name``.

    Raises:
        S2IError: there is none; the sentence names those that there are.
    """
    known = {entry.name: entry for entry in entries()}
    if name not in known:
        raise S2IError(f"there is no weight '{name}'; there are: {', '.join(known) or 'none yet'}.")
    return known[name]


def find_local(entry: Entry) -> tuple[str, Path] | None:
    """Return origin and path of the copy that :func:`load` reads, or None if it would download.

    Raises:
        S2IError: the entry's file name points out of the weights folder.
    """
    folders = {"folder": os.environ.get("S2I_WEIGHTS"), "bundled": weights_folder()}
    for origin, folder in folders.items():
        path = place(Path(folder), entry.file) if folder else None
        if path and path.is_file():
            return origin, path
    if entry.repo_id:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(entry.repo_id, entry.file, revision=entry.revision)
        if isinstance(cached, str):
            return "cache", Path(cached)
    return None


def find_classes(name: str) -> tuple[str, ...]:
    """Return the classes that the weight ``name`` knows; none where it has none or is not here yet.

    They come from the header of the local copy, which is checked only when it is loaded: good for
    a list to choose from, no more.

    Raises:
        S2IError: there is no such weight.
    """
    found = find_local(find(name))
    if found is None:
        return ()
    try:
        with found[1].open("rb") as file:
            head = file.read(8)
            head += file.read(min(int.from_bytes(head, "little"), MAX_HEADER_BYTES))
        classes = json.loads(read_metadata(head)["kwargs"]).get("classes")
    except (OSError, ValueError, KeyError, AttributeError, RecursionError):
        return ()
    classes = classes if isinstance(classes, list) else []
    return tuple(one for one in classes if isinstance(one, str))


def weights_folder() -> Path:
    """Return the folder of the bundled files: ``weights/`` beside the manifest."""
    return manifest_path().parent / "weights"


def place(folder: Path, file: str) -> Path:
    """Return where ``file`` lies below ``folder``.

    Raises:
        S2IError: it is no plain name of a safetensors file below ``folder``, or a symbolic link
            leads out of it.
    """
    parts = PurePosixPath(file).parts
    is_plain = not ({"..", "/"} & set(parts)) and not re.search(r"[\\:\0]", file)
    if (
        not is_plain
        or not file.endswith(".safetensors")
        or not (folder / file).resolve().is_relative_to(folder.resolve())
    ):
        raise S2IError(
            f"the manifest's file {file!r} is not a plain .safetensors name inside the weights "
            "folder: nothing was read."
        )
    return folder / file


_loaded: OrderedDict[tuple, Future[Loaded]] = OrderedDict()
_lock = threading.Lock()


def load(
    name_or_path: str | os.PathLike,
    *,
    device: str | None = None,
    on_progress: Progress | None = None,
) -> Loaded:
    """Return the method that a manifest's name or a safetensors file stands for, ready to run.

    The last few are kept, so a second call returns the same object, and a call for one that
    another thread is loading waits for it. Only this function downloads, and only what the
    manifest lists under a ``repo_id``.

    Args:
        name_or_path: a name in the manifest, else the path of a ``.safetensors`` file.
        device: see :func:`pick_device`.
        on_progress: called with bytes done and bytes in all while a file is downloaded.

    Raises:
        S2IError: not found, not reachable, not the file that was published, damaged, or not
            buildable; nothing was loaded then.
    """
    chosen = pick_device(device)
    backend = pick_backend(chosen)
    known = {entry.name: entry for entry in entries()}
    entry = known.get(os.fspath(name_or_path))
    if entry is not None:
        key = (entry.name, entry.sha256, str(chosen), backend)
        read = partial(_load_entry, entry, chosen, on_progress)
    else:
        path = Path(name_or_path)
        if path.suffix != ".safetensors":
            find(os.fspath(name_or_path))
        try:
            stat = path.stat()
        except OSError as error:
            raise S2IError(f"'{path}' could not be read ({error.strerror}).") from None
        key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size, str(chosen), backend)
        read = partial(_load_file, path, chosen)

    with _lock:
        future = _loaded.get(key)
        is_mine = future is None
        if is_mine:
            future = _loaded[key] = Future()
        _loaded.move_to_end(key)
        while len(_loaded) > MAX_LOADED:
            _loaded.popitem(last=False)
    if is_mine:
        try:
            future.set_result(read())
        except BaseException as error:
            with _lock:
                if _loaded.get(key) is future:
                    del _loaded[key]
            future.set_exception(error)
    return future.result()


def _load_entry(entry: Entry, device: torch.device, on_progress: Progress | None) -> Loaded:
    found = find_local(entry)
    if found is None and not entry.repo_id:
        raise S2IError(
            f"'{entry.file}' is missing: put it into '{weights_folder()}' or name its folder in "
            "S2I_WEIGHTS."
        )
    origin, path = found or ("hub", _download(entry, on_progress))
    content = read_verified(entry, path)
    method = rebuild(content, label=f"'{path.name}'")
    if method.name != entry.method:
        raise S2IError(f"'{path.name}' holds {method.name}, the manifest says {entry.method}.")
    return Loaded(
        name=entry.name,
        method=_place(method, device),
        entry=entry,
        origin=origin,
        path=path,
        is_verified=True,
        device=device,
    )


def _load_file(path: Path, device: torch.device) -> Loaded:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise S2IError(f"'{path}' could not be read ({error.strerror}).") from None
    return Loaded(
        name=path.stem,
        method=_place(rebuild(content, label=f"'{path.name}'"), device),
        entry=None,
        origin="file",
        path=path,
        is_verified=False,
        device=device,
    )


def _place(method: Method, device: torch.device) -> Method:
    """Bring ``method`` to ``device``; the parts that it asks for come to the same one."""
    method.load_part = lambda name: load(find(name).name, device=str(device)).method
    method = method.to(device)
    if pick_backend(device) == "openvino" and not method.needs_gradients:
        backends.use_openvino(method)
    return method


def read_verified(entry: Entry, path: Path) -> bytes:
    """Return the bytes of ``path``, which are proven to be those that were published.

    Raises:
        S2IError: unreadable, or another size or sha256 than the manifest's.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size == entry.bytes else b""
    except OSError as error:
        raise S2IError(f"'{path}' could not be read ({error.strerror}).") from None
    if size != entry.bytes:
        raise S2IError(
            f"'{path}' has {size} bytes, '{entry.name}' was published with {entry.bytes}: "
            "delete it and fetch it again."
        )
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != entry.sha256:
        raise S2IError(
            f"'{path}' is not the file that was published as '{entry.name}' (sha256 "
            f"{sha256[:12]}…, expected {entry.sha256[:12]}…): delete it and fetch it again."
        )
    return content


def rebuild(content: bytes, *, label: str = "the file") -> Method:
    """Build the method that the bytes of a safetensors file describe: float32, CPU, evaluation.

    ``label`` stands for the file in the sentences.

    Raises:
        S2IError: damaged, no method in the header, or tensors that don't fit the method.
    """
    try:
        tensors = safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise S2IError(f"{label} is not a whole safetensors file ({error}).") from None
    metadata = read_metadata(content)
    try:
        name, kwargs = metadata["method"], json.loads(metadata["kwargs"])
        if not isinstance(kwargs, dict):
            raise ValueError(f"kwargs {kwargs!r}")
    except (KeyError, ValueError) as error:
        raise S2IError(
            f"{label} does not say which method it was made for ({error!r}): "
            "publish it with train/publish.py."
        ) from None
    method_class = find_method(name)
    try:
        method = method_class(**kwargs)
    except (TypeError, ValueError, RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise S2IError(f"{label} does not fit {method_class.title} ({reason}).") from None
    expected = {name: tensor.shape for name, tensor in method.state_dict().items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    misfits = {name for name, _ in expected.items() ^ found.items()}
    if misfits:
        raise S2IError(
            f"{label} does not fit {method_class.title} of this version: {len(misfits)} of its "
            f"{len(expected)} tensors are missing, unknown or of other sizes, '{min(misfits)}' is "
            "one; train it again, or use the version that made it."
        )
    method.load_state_dict(tensors)
    method = method.eval().requires_grad_(False)
    return method.to(memory_format=torch.channels_last)  # convolutions take a tenth less time


def read_metadata(content: bytes) -> dict[str, str]:
    """Return the metadata in the header of a safetensors file, which is whole that far."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__", {})


def save(path: str | os.PathLike, method: Method, *, metadata: dict[str, str]) -> Path:
    """Write ``method`` as a weight, whole or not at all: fp16 and what rebuilds it in the header.

    ``metadata`` is what else the header shall say (``recipe``, ``license``...).

    Raises:
        S2IError: a value that fp16 can't hold, or the file could not be written.
    """
    tensors = {}
    for name, tensor in method.state_dict().items():
        kind = torch.float16 if tensor.is_floating_point() else tensor.dtype
        tensors[name] = tensor.detach().to("cpu", kind, copy=True).contiguous()
        if not torch.isfinite(tensors[name]).all():
            raise S2IError(f"'{name}' holds values that fp16 can't: training went astray.")
    header = {
        "format": "pt",
        **metadata,
        "method": method.name,
        "kwargs": json.dumps(method.kwargs),
    }
    return write_bytes(path, safetensors.torch.save(tensors, metadata=header))


def _download(entry: Entry, on_progress: Progress | None) -> Path:
    """Return the Hub's copy of ``entry`` in the Hub's cache; what came is not yet verified."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_download, hf_hub_url

    where = f"'{entry.file}' of {entry.repo_id} at {constants.ENDPOINT}"
    try:
        # One short question first: the download itself would retry for half a minute when the Hub
        # can't be reached, and would fetch a file of any size.
        url = hf_hub_url(entry.repo_id, entry.file, revision=entry.revision)
        size = get_hf_file_metadata(url, timeout=HUB_TIMEOUT_SECONDS).size
        if size != entry.bytes:
            raise S2IError(f"{where} has {size} bytes, the manifest says {entry.bytes}.")
        return Path(
            hf_hub_download(
                entry.repo_id,
                entry.file,
                revision=entry.revision,
                tqdm_class=_counting(on_progress, entry.bytes) if on_progress else None,
            )
        )
    except S2IError:
        raise
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError):
        raise S2IError(
            f"{where} is not on this machine and the Hub is switched off or out of reach: go "
            "online once, or put the file into a folder that S2I_WEIGHTS names."
        ) from None
    except (
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
        errors.EntryNotFoundError,
    ):
        raise S2IError(
            f"{where} does not exist at revision {entry.revision[:12]}, or needs HF_TOKEN."
        ) from None
    except Exception as error:  # the transport's own exceptions come through unwrapped
        reason = str(error).split("\n")[0] or type(error).__name__
        is_disk = isinstance(error, OSError) and error.errno is not None and error.filename
        advice = "set HF_HOME to a folder that can be written" if is_disk else "try again"
        raise S2IError(f"{where} could not be downloaded ({reason}): {advice}.") from None


def _counting(on_progress: Progress, total: int) -> type:
    """Return a progress bar class for the Hub's client that calls instead of drawing."""
    from tqdm import tqdm

    class Counter(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float = 1) -> None:
            self.n += n
            on_progress(int(self.n), total)

    return Counter


def pick_device(name: str | None = None) -> torch.device:
    """Return the device ``name``, else that of ``S2I_DEVICE``, else CUDA, MPS or the CPU.

    Raises:
        S2IError: no such device here.
    """
    wanted = name or os.environ.get("S2I_DEVICE")
    if not wanted:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n")[0]
        raise S2IError(f"the device '{wanted}' can't be used here ({reason}).") from None
    return device


def pick_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where ``device`` is fast at it, else float32; ``S2I_PRECISION`` overrides.

    Fast: CUDA from compute capability 8, a CPU with AVX-512 bf16 or AMX.

    Raises:
        S2IError: ``S2I_PRECISION`` is neither float32 nor bfloat16.
    """
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    wanted = os.environ.get("S2I_PRECISION")
    if wanted:
        if wanted not in kinds:
            raise S2IError(f"S2I_PRECISION must be one of {', '.join(kinds)}; got '{wanted}'.")
        return kinds[wanted]
    if device.type == "cuda":
        is_fast = torch.cuda.get_device_capability(device)[0] >= 8
    else:
        questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        is_fast = device.type == "cpu" and any(
            getattr(torch.cpu, question, lambda: False)() for question in questions
        )
    return torch.bfloat16 if is_fast else torch.float32


def pick_backend(device: torch.device) -> str:
    """Return ``openvino`` where ``S2I_BACKEND`` says so and ``device`` is the CPU, else ``torch``.

    Raises:
        S2IError: ``S2I_BACKEND`` is neither, or OpenVINO is not installed.
    """
    wanted = os.environ.get("S2I_BACKEND") or "torch"
    if wanted not in ("torch", "openvino"):
        raise S2IError(f"S2I_BACKEND must be torch or openvino; got '{wanted}'.")
    if wanted == "openvino" and device.type == "cpu":
        backends.import_openvino()
        return wanted
    return "torch"


@contextlib.contextmanager
def inference(device: torch.device) -> Iterator[None]:
    """Run methods on ``device`` without gradients, in the precision of :func:`pick_dtype`."""
    dtype = pick_dtype(device)
    is_mixed = dtype is not torch.float32
    with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=is_mixed):
        yield
