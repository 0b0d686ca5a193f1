"""`streamcount check-config` ends with what its last line says."""

from __future__ import annotations

from pathlib import Path

from streamcount.errors import ExitCode


def test_a_right_configuration_is_told_so(streamcount, tmp_path: Path) -> None:
    file = tmp_path / "streamcount.toml"
    file.write_text('[detector]\nkind = "watershed"\n')
    code, out, _ = streamcount("check-config", "--config", file)
    assert code == ExitCode.OK
    assert "The configuration is right." in out


def test_a_model_that_does_not_exist_is_refused_as_by_the_worker(streamcount, tmp_path: Path) -> None:
    file = tmp_path / "streamcount.toml"
    file.write_text('[detector]\nkind = "tflite"\nmodel = "blood-smaer"\n')
    code, out, err = streamcount("check-config", "--config", file)
    assert code == ExitCode.MODEL
    assert "detector: There is no model 'blood-smaer': known models are" in err
    assert "The configuration is right." not in out
