"""The one place that knows which TFLite runtime is installed."""

from __future__ import annotations

import importlib
from typing import Any

from streamcount.errors import ModelError

# LiteRT is the maintained successor; tflite-runtime (Python 3.11 only) has the same Interpreter.
RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")


def new_interpreter(model: bytes, runtimes: tuple[str, ...] = RUNTIMES) -> Any:
    """Return an `Interpreter` of one thread for the bytes of a .tflite file.

    Raises ModelError when no runtime is installed or the bytes are no model.
    """
    for name in runtimes:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        try:
            return module.Interpreter(model_content=model, num_threads=1)
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{name} cannot read the model ({error}); export it again.") from error
    raise ModelError("No TFLite runtime is installed; run `pip install ai-edge-litert`.")
