"""Model bundles: a folder with a compiled model and a `model.toml` that says what it expects and finds."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import msgspec

from streamcount.detection.prepare import Exposure, Normalisation
from streamcount.errors import ModelError

MODEL_FILE = "model.toml"
DENSE_DETECTION = "dense-detection"
DENSE_INSTANCES = "dense-instances"
CROP_CLASSIFICATION = "crop-classification"
TASKS = {
    DENSE_DETECTION: ("centre", "foreground", "log_size", "offset"),
    DENSE_INSTANCES: ("centre", "foreground", "log_size", "offset"),
    CROP_CLASSIFICATION: ("class",),
}
"""What a model does, and the outputs that its net must have."""
PACKAGE = Path(__file__).resolve().parent.parent
PLACES = (PACKAGE / "models", PACKAGE.parent / "models")


class ClassInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One class that the model tells apart.

    threshold: centre probability from which a cell counts, chosen for unbiased counts. relative_diameter:
    usual diameter over the reference class's. abnormal: to be told of. dead: such cells have died. mitotic: they
    divide. color: "#rrggbb" for drawings. label: the class's name in the training data where that differs.
    temperature: what the net's logits are divided by, so that a probability is how often it is right (Guo et al.,
    arXiv 1706.04599). Thresholds are of probabilities so corrected.
    """

    name: str
    threshold: float = 0.5
    temperature: float = 1.0
    relative_diameter: float = 1.0
    abnormal: bool = False
    dead: bool = False
    mitotic: bool = False
    color: str = "#00a0ff"
    label: str = ""


class InputInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the net is fed: uint8, sides a multiple of `multiple_px`, filled up with `padding_level`.

    reference_class: the class whose cells set the scale. cell_diameter_px: its diameter (mean side of the box) at the
    net's scale; cell_diameter_um: in the specimen. channels: 3 for RGB, 1 for grey. normalise: "none", or
    else see `prepare`. crop_px: for a
    classifier of crops, the side of the crop, whose middle is the cell.
    usual_diameter_px: the reference cell's in the frames that it was trained on, for a frame that does not
    tell; 0: unknown. darkest_level, usual_level: how bright these frames were, see `Exposure`.
    """

    reference_class: str
    cell_diameter_px: float
    cell_diameter_um: float
    channels: int = 3
    multiple_px: int = 32
    padding_level: int = 128
    normalise: Normalisation = "none"
    crop_px: int = 0
    usual_diameter_px: float = 0.0
    darkest_level: float = 0.0
    usual_level: float = 0.0

    @property
    def exposure(self) -> Exposure:
        """How bright the training images were."""
        return Exposure(self.darkest_level, self.usual_level)


class CompiledForm(msgspec.Struct, frozen=True, kw_only=True):
    """One compiled file of the model. `outputs` names the net's outputs in the order of the file's."""

    file: str
    sha256: str
    outputs: tuple[str, ...]


class UsualCells(msgspec.Struct, frozen=True, kw_only=True):
    """What the maps say of usual cells of one class, see `novelty`.

    middle: (F,); inverse: (F, F), of the covariance; limit: the distance that one cell in 1,000 exceeds. cells: from
    how many it was learned.
    """

    middle: tuple[float, ...]
    inverse: tuple[tuple[float, ...], ...]
    limit: float
    cells: int


class NoveltyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the maps say of the cells that the model was made for. readings: F names; classes: by class name."""

    readings: tuple[str, ...]
    classes: dict[str, UsualCells]


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A `model.toml`, checked.

    forms: the same net compiled, by form: "int8" and "float32". nms_iou: of two boxes of one class that overlap at
    least so much the weaker is dropped. least_area: of outlined cells, those smaller than this share of the reference
    cell's disc are specks and not told. refines: the class of another model whose cells this one classifies. novelty:
    by which strange cells are told from those that it was made for; None where it cannot.
    """

    name: str
    task: str
    nms_iou: float = 0.6
    least_area: float = 0.0
    forms: dict[str, CompiledForm]
    input: InputInfo
    classes: tuple[ClassInfo, ...]
    refines: str = ""
    novelty: NoveltyInfo | None = None
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
    def dead(self) -> tuple[str, ...]:
        """The classes of dead cells."""
        return tuple(info.name for info in self.classes if info.dead)

    @property
    def mitotic(self) -> tuple[str, ...]:
        """The classes of cells in division."""
        return tuple(info.name for info in self.classes if info.mitotic)

    @property
    def reference_class(self) -> int:
        """Index of the class whose diameter sets the scale."""
        return self.class_names.index(self.input.reference_class)

    def form(self, name: str) -> CompiledForm:
        """One of the compiled forms. Raises ModelError naming those that there are."""
        if name not in self.forms:
            raise ModelError(f"Model {self.name} has no {name} form; it has {', '.join(self.forms)}.")
        return self.forms[name]

    def read_model(self, form: str = "int8") -> bytes:
        """A compiled file. Raises ModelError when it is missing or not the one that `model.toml` names."""
        return read_checked(self.folder / self.form(form).file, self.form(form).sha256)


def read_checked(path: Path, sha256: str) -> bytes:
    """The content of a file whose sha256 `model.toml` names. Raises ModelError where it is another or missing."""
    if not path.is_file():
        raise ModelError(f"{path} is missing; restore it or train the model again with `streamcount train`.")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelError(
            f"{path} has sha256 {found[:12]}…, but {MODEL_FILE} names {sha256[:12]}…: "
            "it is damaged or was replaced; restore it or train the model again."
        )
    return content


def known_models() -> list[str]:
    """The names of the models that come with the package or the checkout."""
    return sorted({path.parent.name for place in PLACES for path in place.glob(f"*/{MODEL_FILE}")})


def find_bundle(name: str) -> Path:
    """The folder of a bundle given by path or by name.

    A folder that exists wins, then the models inside the installed package, then those of the checkout.
    Raises ModelError naming the places and the models there.
    """
    for folder in (Path(name), *(place / name for place in PLACES)):
        if (folder / MODEL_FILE).is_file():
            return folder
    known = known_models()
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
    if bundle.task not in TASKS:
        raise ModelError(f"{path} is for task {bundle.task!r}; this version runs {', '.join(TASKS)}.")
    if not bundle.classes or bundle.input.reference_class not in bundle.class_names:
        raise ModelError(
            f"{path}: reference_class {bundle.input.reference_class!r} is none of its classes; correct it."
        )
    for name, form in bundle.forms.items():
        if sorted(form.outputs) != sorted(TASKS[bundle.task]):
            wanted = ", ".join(TASKS[bundle.task])
            raise ModelError(f"{path}: forms.{name}.outputs must name {wanted}, in the file's order.")
    return bundle
