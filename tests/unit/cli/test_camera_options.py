"""`streamcount camera` with options that cannot go together: nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamcount.errors import ExitCode


def test_label_images_are_not_sent_as_jpeg(
    streamcount: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    config = tmp_path / "streamcount.toml"
    config.write_text('detector.kind = "labels"\n')
    code, _, err = streamcount(
        "camera", "a", "--source", "folder", "--path", tmp_path, "--config", config, "--frames", 1
    )
    assert code == ExitCode.USAGE
    assert "--encoding" in err
    assert "png or raw" in " ".join(err.replace("│", " ").split())
