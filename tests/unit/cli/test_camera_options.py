"""`streamcount camera` with options that cannot go together: nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streamcount.cli.camera import _quick_camera
from streamcount.errors import ConfigurationError, ExitCode
from streamcount.sources.folder import FolderConfig
from streamcount.sources.tiff import TiffConfig


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


def test_of_a_tiff_with_channels_and_planes_one_is_chosen(
    streamcount: Callable[..., tuple[int, str, str]],
) -> None:
    source = _quick_camera("a", "tiff", {"path": "a.tif", "channel": "1", "z": "time"}).source
    assert isinstance(source, TiffConfig)
    assert (source.channel, source.z) == ("1", "time")
    folder = _quick_camera("a", "folder", {"path": ".", "z": 0}).source
    assert isinstance(folder, FolderConfig)
    assert folder.z == 0
    with pytest.raises(ConfigurationError, match="--plane does not apply to --source simulated"):
        _quick_camera("a", "simulated", {"z": 0})
    code, _, err = streamcount("camera", "a", "--plane", "1", "--channel", "1")
    assert code == ExitCode.USAGE
    assert "--channel, --plane: only with --source" in " ".join(err.replace("│", " ").split())
    assert streamcount("camera", "a", "--source", "tiff", "--path", "a.tif", "--plane", "deep")[0] == 2
