"""The configuration: what is wrong is told with the key's name and the remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streamcount.config import load_settings, parse_settings
from streamcount.config.load import ADDRESS_VARIABLE
from streamcount.errors import ConfigurationError, ExitCode
from streamcount.service.topics import changelog_topic


def parse(text: str, **environment: str):
    return parse_settings(text, "test.toml", environment)


def test_an_empty_file_gives_the_defaults():
    settings = parse("")
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert settings.topics.name("dead-letters") == "streamcount.dead-letters"
    assert settings.detector.kind == "tflite"
    assert settings.tracker.kind == "kalman"
    assert settings.cameras == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[topics]\npartitons = 4", ["'topics.partitons'", "did you mean 'partitions'"]),
        ("[topcis]\npartitions = 4", ["'topcis'", "did you mean 'topics'"]),
        ("[worker]\nzzzzzzzz = 1", ["'worker.zzzzzzzz'", "known here:", "threads"]),
        ("[detector]\nkind = 'tflite'\nmodle = 'x'", ["modle", "did you mean 'model'"]),
        ("[detector]\nkind = 'watershed'\nmin_diametr_px = 8", ["did you mean 'min_diameter_px'"]),
        ("[tracker]\ngate_diameter = 2", ["did you mean 'gate_diameters'"]),
        ("[cameras.a]\nencodin = 'png'\nsource = {kind='folder', path='x'}", ["did you mean 'encoding'"]),
        ("[cameras.a.source]\nkind = 'folder'\npath = 'x'\nrate = 3", ["did you mean 'rate_hz'"]),
        ("[sinks.a]\nkind = 'jsonl'\nfoldr = 'x'", ["did you mean 'folder'"]),
        ("[alerts.a]\nkind = 'limit'\nfigure = 'cells'\nabove = 1\nclas = 'x'", ["did you mean 'class'"]),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(text, words):
    with pytest.raises(ConfigurationError, match="unknown key") as raised:
        parse(text)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[topics]\npartitions = 'many'", ["'topics.partitions' = 'many'", "integer"]),
        ("[topics]\npartitions = 0", ["'topics.partitions' = 0", "greater than or equal to 1"]),
        ("[worker]\nport = 70000", ["'worker.port' = 70000", "65535"]),
        ("[detector]\nkind = 'oracle'", ["detector", "oracle", "watershed", "tflite"]),
        ("[cameras.a]\nencoding = 'gif'\nsource = {kind='folder', path='x'}", ["encoding", "gif", "jpeg"]),
        ("[cameras.a]", ["'cameras.a.source' is missing"]),
        ("[cameras.'a b'.source]\nkind = 'folder'\npath = 'x'", ["'cameras.a b'", "begins with a letter"]),
        ("[topics]\nprefix = 'a b'", ["'topics.prefix' = 'a b'", "1 to 80 letters"]),
        ("kafka = 3", ["'kafka'"]),
    ],
)
def test_a_wrong_value_names_the_key_and_what_it_may_be(text, words):
    with pytest.raises(ConfigurationError) as raised:
        parse(text)
    for word in words:
        assert word in str(raised.value)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ConfigurationError) as raised:
        parse("[topics]\npartitons = 4\n[worker]\nport = -1")
    assert "partitons" in str(raised.value)
    assert "worker.port" in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "[limits]\nframe_bytes = 16777216",
        "[topics]\nmin_insync_replicas = 2",
        "[cameras.a]\nencoding = 'raw'\nbuffer_bytes = 1048576\nsource = {kind='folder', path='x'}",
    ],
)
def test_settings_that_contradict_each_other_are_refused(text):
    with pytest.raises(ConfigurationError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "detector.kind = 'labels'\n[cameras.a]\nsource = {kind='folder', path='x'}",
        "[cameras.a]\ndetector.kind = 'labels'\nsource = {kind='folder', path='x'}",
    ],
)
def test_label_images_cannot_go_as_jpeg(text):
    with pytest.raises(
        ConfigurationError, match=r'cameras\.a\.encoding = "jpeg" .* encoding = "png" or "raw"'
    ):
        parse(text)
    for encoding in ("png", "raw"):
        assert parse(f"{text}\nencoding = '{encoding}'").cameras["a"].encoding == encoding


def test_a_camera_with_a_detector_of_its_own_may_send_jpeg_beside_labels():
    text = "detector.kind = 'labels'\n[cameras.a]\ndetector.kind = 'watershed'\nsource = {kind='folder', path='x'}"
    assert parse(text).cameras["a"].encoding == "jpeg"


def test_what_is_no_toml_names_the_file_and_the_place():
    with pytest.raises(ConfigurationError, match=r"test\.toml is not valid TOML.*line 2"):
        parse("[kafka]\nbootstrap_servers = \n\n[topics]\n")


def test_the_environment_gives_the_address_over_the_file():
    text = "[kafka]\nbootstrap_servers = 'from-file:9092'"
    assert parse(text).kafka.bootstrap_servers == "from-file:9092"
    assert parse(text, **{ADDRESS_VARIABLE: "there:1"}).kafka.bootstrap_servers == "there:1"
    assert parse("", **{ADDRESS_VARIABLE: "there:1"}).kafka.bootstrap_servers == "there:1"


def test_an_address_in_the_environment_does_not_hide_a_wrong_section():
    with pytest.raises(ConfigurationError, match="kafka"):
        parse("kafka = 3", **{ADDRESS_VARIABLE: "there:1"})


def test_a_camera_has_its_own_detector_or_the_common_one():
    settings = parse(
        "[detector]\nkind = 'watershed'\nmin_diameter_px = 12\n"
        "[cameras.a.source]\nkind = 'folder'\npath = 'x'\n"
        "[cameras.b]\nsource = {kind = 'folder', path = 'x'}\n"
        "detector = {kind = 'watershed', min_diameter_px = 30}\n"
    )
    found = {name: settings.detector_for(name).min_diameter_px for name in ("a", "b", "unlisted")}
    assert found == {"a": 12, "b": 30, "unlisted": 12}


def test_the_file_in_the_working_folder_is_read_and_a_named_one_must_exist(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings(environment={}).topics.partitions == 8
    Path("streamcount.toml").write_text("[topics]\npartitions = 3\n")
    assert load_settings(environment={}).topics.partitions == 3
    with pytest.raises(ConfigurationError, match=re.escape("absent.toml")) as raised:
        load_settings("absent.toml", environment={})
    assert raised.value.exit_code == ExitCode.CONFIGURATION


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[alerts.latency]\nkind = "latency"\ninhibited_by = []',
            "unknown key 'alerts.latency.inhibited_by'",
        ),
        (
            '[cameras.tiff.source]\nkind = "tiff"\npath = "x"\nrate_hz = -1',
            "'cameras.tiff.source.rate_hz' = -1",
        ),
        (
            '[sinks.labels]\nkind = "alertmanager"\nurl = "http://a"\nlabels = {a = 1}',
            "'sinks.labels.labels.a'",
        ),
    ],
)
def test_a_key_is_told_as_it_stands_in_the_file(text, words):
    with pytest.raises(ConfigurationError, match=words):
        parse_settings(text, environment={})


def test_two_installations_of_other_prefixes_share_no_consumer_group_and_no_states() -> None:
    assert parse_settings("", environment={}).app_id == "streamcount-worker"
    other = parse_settings('topics.prefix = "lab"', environment={})
    assert other.app_id == "lab-worker"
    assert changelog_topic(other) == "lab-worker-state-changelog"
    assert parse_settings('worker.app_id = "mine"', environment={}).app_id == "mine"
