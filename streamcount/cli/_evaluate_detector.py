"""A detector without a model, by its kind, for `streamcount evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamcount.errors import ConfigurationError

if TYPE_CHECKING:
    from streamcount.detection.base import Detector


def build_detector(kind: str) -> Detector:
    """The detector of a kind, with its defaults. Raises ConfigurationError naming the kinds there are."""
    from pydantic import TypeAdapter, ValidationError

    from streamcount.detection import DetectorConfig

    adapter: TypeAdapter[Any] = TypeAdapter(DetectorConfig)
    kinds = sorted(adapter.json_schema()["discriminator"]["mapping"])
    if kind not in kinds:
        raise ConfigurationError(f"There is no detector {kind!r}; take one of {', '.join(kinds)}.")
    try:
        detector: Detector = adapter.validate_python({"kind": kind}).build()
    except ValidationError as error:
        raise ConfigurationError(f"--detector {kind}: {error.errors()[0]['msg']}.") from error
    return detector
