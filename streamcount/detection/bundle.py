"""Model bundles: a folder with a compiled model and a `model.toml` that says what it expects and finds."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import msgspec

from streamcount.errors import ModelError

MODEL_FILE = "model.toml"
DENSE_DETECTION = "dense-detection"
PACKAGE = Path(__file__).resolve().parent.parent


class ClassInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One class that the model tells apart.

    threshold: centre probability from which a cell counts, chosen for unbiased counts; relative_diameter:
    usual diameter over the reference class's; color: "#rrggbb" for drawings; label: the class's name in the
    training data where that differs.
    """

    name: str
    threshold: float
    relative_diameter: float = 1.0
    abnormal: bool = False
    color: str = "#00a0ff"
    label: str = ""


class InputInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the net is fed: uint8 RGB, sides a multiple of `multiple_px`, filled up with `padding_level`.

    cell_diameter_px: the reference class's diameter at the net's scale; cell_diameter_um: in the specimen.
    """

    reference_class: str
    cell_diameter_px: float
    cell_diameter_um: float
    channels: int = 3
    multiple_px: int = 32
    padding_level: int = 128


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A `model.toml`, checked. `outputs` names the net's outputs in the order of the compiled file's."""

    name: str
    task: str
    file: str
    sha256: str
    nms_iou: float
    outputs: tuple[str, ...]
    input: InputInfo
    classes: tuple[ClassInfo, ...]
    folder: Path = Path()

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the net's centre maps."""
        return tuple(info.name for info in self.classes)

    @property
    def abnormal(self) -> tuple[str, ...]:
        """The classes to be told of."""
        return tuple(info.name for info in self.classes if info.abnormal)

    @property
    def reference_class(self) -> int:
        """Index of the class whose diameter sets the scale."""
        return self.class_names.index(self.input.reference_class)

    def read_model(self) -> bytes:
        """The compiled model. Raises ModelError when it is missing or not the one that `model.toml` names."""
        path = self.folder / self.file
        if not path.is_file():
            raise ModelError(
                f"{path} is missing; restore it or train the model again with `streamcount train`."
            )
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise ModelError(
                f"{path} has sha256 {found[:12]}…, but {MODEL_FILE} names {self.sha256[:12]}…: "
                "it is damaged or was replaced; restore it or train the model again."
            )
        return content


def find_bundle(name: str) -> Path:
    """The folder of a bundle given by path or by name.

    A folder that exists wins, then the models inside the installed package, then those of the checkout.
    Raises ModelError naming the places and the models there.
    """
    packaged, checkout = PACKAGE / "models", PACKAGE.parent / "models"
    given = Path(name)
    for folder in (given, packaged / name, checkout / name):
        if (folder / MODEL_FILE).is_file():
            return folder
    known = sorted(
        {path.parent.name for place in (packaged, checkout) for path in place.glob(f"*/{MODEL_FILE}")}
    )
    hint = f"known models are {', '.join(known)}" if known else "no model is installed"
    raise ModelError(f"There is no model {name!r}: {hint}; give one of them or a folder with a {MODEL_FILE}.")


def load_bundle(name: str) -> Bundle:
    """Find and read a bundle. Raises ModelError when it is missing, unreadable or not consistent."""
    folder = find_bundle(name)
    path = folder / MODEL_FILE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        bundle = msgspec.convert({**table, "folder": folder}, Bundle)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ModelError(
            f"{path} is not valid: {error}; see models/blood-smear/{MODEL_FILE} for the form."
        ) from error
    if bundle.task != DENSE_DETECTION:
        raise ModelError(f"{path} is for task {bundle.task!r}; this version runs {DENSE_DETECTION!r} only.")
    if not bundle.classes or bundle.input.reference_class not in bundle.class_names:
        raise ModelError(
            f"{path}: reference_class {bundle.input.reference_class!r} is none of its classes; correct it."
        )
    if sorted(bundle.outputs) != ["centre", "foreground", "log_size", "offset"]:
        raise ModelError(
            f"{path}: outputs must name centre, log_size, offset and foreground, in the file's order."
        )
    return bundle
