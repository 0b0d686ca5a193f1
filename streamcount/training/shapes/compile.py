"""From a set of labelled points to a finished second-stage bundle."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from streamcount.detection.bundle import CROP_CLASSIFICATION, load_bundle
from streamcount.training.compile import (
    TYPICAL_INPUTS,
    Naming,
    draft_bundle,
    store_bundle,
    story_of,
)
from streamcount.training.export import compile_float32, compile_int8
from streamcount.training.modelfile import write_model_file
from streamcount.training.recipe import Recipe
from streamcount.training.shapes.collect import Lessons
from streamcount.training.shapes.crops import cut_labelled
from streamcount.training.shapes.judge import (
    Figures,
    bundle_view,
    compiled_shares,
    fit_share_temperature,
    shape_figures,
)
from streamcount.training.shapes.lesson import plain_crops
from streamcount.training.weights import save_weights


def make_shapes_bundle(
    net: Any, lessons: Lessons, recipe: Recipe, naming: Naming, output: Path, say: Callable[[str], None]
) -> dict[str, Figures]:
    """Write the compiled forms, the weights and model.toml to OUTPUT; return the figures by form, then by class.

    Figures are of all val labels; of those that are not doubted, under "FORM, labels cleaned"; and of all where the
    images' scale is not told, under "FORM, scale not told".
    """
    parts, found = lessons.parts, lessons.found
    exported = answering(net)
    step = max(1, len(lessons.train.class_ids) // (4 * TYPICAL_INPUTS))
    typical = [pixels[None] for pixels in plain_crops(lessons.train, recipe.canvas_px)[::step]]
    say("compiling to int8")
    compiled = {"int8": compile_int8(exported, typical, (recipe.canvas_px, recipe.canvas_px))}
    say("compiling to float32")
    compiled["float32"] = compile_float32(exported, typical[0], (recipe.canvas_px, recipe.canvas_px))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / naming.name
        draft = draft_bundle(naming, parts.train, recipe, compiled)
        draft = msgspec.structs.replace(
            draft,
            task=CROP_CLASSIFICATION,
            refines=lessons.refines,
            input=msgspec.structs.replace(
                draft.input, crop_px=recipe.canvas_px, usual_diameter_px=round(found.val.usual_px, 1)
            ),
        )
        store_bundle(folder, draft, compiled)
        say("calibrating")
        held = cut_labelled(parts.calibration, found.calibration, bundle_view(folder))
        temperature = fit_share_temperature(compiled_shares(folder, "int8", held), held.class_ids)
        classes = tuple(msgspec.structs.replace(one, temperature=temperature) for one in draft.classes)
        final = msgspec.structs.replace(draft, classes=classes)
        store_bundle(folder, final, compiled)
        save_weights(net, folder)
        measured: dict[str, Figures] = {}
        for form in compiled:
            say(f"measuring {form}")
            measured |= measure_shapes(folder, lessons, form)
        story = {**story_of(parts, recipe, naming, compiled), "first": lessons.first, **lessons.cleaning}
        write_model_file(folder, final, story, measured)
        output.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            shutil.copyfile(path, output / path.name)
    return measured


def measure_shapes(folder: Path, lessons: Lessons, form: str) -> dict[str, Figures]:
    """The figures of a bundle's form on the val part; see make_shapes_bundle."""
    val, found, view = lessons.parts.val, lessons.found.val, bundle_view(folder)
    told, untold = cut_labelled(val, found, view), cut_labelled(val, found, view, told=False)
    guesses, blind = (compiled_shares(folder, form, crops).argmax(axis=1) for crops in (told, untold))
    kept, names = ~lessons.doubted_val, load_bundle(str(folder)).class_names
    return {
        form: shape_figures(told, names, guesses),
        f"{form}, labels cleaned": shape_figures(told.take(kept), names, guesses[kept]),
        f"{form}, scale not told": shape_figures(untold, names, blind),
    }


def answering(net: Any) -> Any:
    """The classifier with probabilities for an answer, whose int8 scale is 1/256."""
    import keras

    return keras.Model(net.inputs[0], {"class": keras.layers.Softmax()(net(net.inputs[0])["class"])})
