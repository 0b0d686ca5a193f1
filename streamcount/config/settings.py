"""All settings: one TOML file, each key with its default, its unit and what it is for."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from streamcount.alerts import AlertRule
from streamcount.config.snapshots import SnapshotsConfig
from streamcount.detection import Detector, DetectorConfig, LabelsConfig
from streamcount.detection.tflite import TfliteConfig
from streamcount.events import EventsConfig
from streamcount.events.places import LineConfig, PlacesConfig, PlacesMap, ZoneConfig, places_map
from streamcount.events.places.config import PlaceName
from streamcount.pipeline import GroupPipeline, Pipeline
from streamcount.quality import QualityConfig
from streamcount.sinks.store import SinkConfig
from streamcount.sources import SourceConfig
from streamcount.tracking import TrackerConfig
from streamcount.tracking.config import KalmanConfig
from streamcount.types.frame import IDENTIFIER
from streamcount.windows import ChamberConfig, WindowConfig, WindowsSetup
from streamcount.windows.config import NS_PER_S, Edges
from streamcount.windows.figures import Rule
from streamcount.windows.groups import Group, GroupConfig
from streamcount.wire.images import Encoding

Name = Annotated[str, StringConstraints(pattern=f"^{IDENTIFIER.pattern}$")]
PREFIX_PATTERN = r"^[A-Za-z0-9._-]{1,80}$"

TopicName = Literal[
    "frames", "detections", "tracks", "events", "counts", "windows", "alerts", "snapshots", "dead-letters"
]

MEBIBYTE = 2**20
HOUR_MS = 3_600_000
# A dead letter that is sent again is counted under its camera's name with this behind it: its run has gone on without
# it, and a tracker that has seen frame 100 cannot be told of frame 99.
REPLAY_SUFFIX = ".replay"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class KafkaConfig(_Section):
    """Which Kafka. The environment variable STREAMCOUNT_BOOTSTRAP_SERVERS overrides the address."""

    bootstrap_servers: str = Field(
        default="127.0.0.1:9092", description="host:port of one or more brokers, by commas"
    )


class TopicsConfig(_Section):
    """The topics and how long they keep what."""

    prefix: str = Field(
        default="streamcount",
        pattern=PREFIX_PATTERN,
        description="names are PREFIX.frames and so on",
    )
    partitions: int = Field(
        default=8, ge=1, le=1000, description="of each topic: the most workers that can share the load"
    )
    replication_factor: int = Field(
        default=1, ge=1, le=7, description="copies of each partition; 3 on three brokers"
    )
    min_insync_replicas: int = Field(
        default=1, ge=1, le=7, description="copies that must have a record before it counts"
    )
    frames_retention_bytes: int = Field(
        default=2 * 1024 * MEBIBYTE, ge=MEBIBYTE, description="images kept for each partition, bytes"
    )
    snapshots_retention_bytes: int = Field(
        default=256 * MEBIBYTE,
        ge=MEBIBYTE,
        description="pictures of abnormal cells kept for each partition, bytes",
    )
    frames_retention_ms: int = Field(
        default=24 * HOUR_MS, ge=60_000, description="how long images are kept, ms"
    )
    events_retention_ms: int = Field(
        default=30 * 24 * HOUR_MS,
        ge=60_000,
        description="how long detections, tracks, events, counts are kept, ms",
    )
    max_message_bytes: int = Field(
        default=16 * MEBIBYTE,
        ge=MEBIBYTE,
        le=256 * MEBIBYTE,
        description="largest record: producer, topic, consumer",
    )

    def name(self, topic: TopicName) -> str:
        """The topic's name on the broker."""
        return f"{self.prefix}.{topic}"


class LimitsConfig(_Section):
    """What a frame may be; beyond it is dead-lettered."""

    frame_bytes: int = Field(default=15 * MEBIBYTE, ge=1024, description="largest encoded image, bytes")
    frame_pixels: int = Field(
        default=64_000_000, ge=64, description="largest image, pixels; guards against decompression bombs"
    )


class WorkerConfig(_Section):
    """How frames are processed."""

    app_id: str | None = Field(
        default=None,
        pattern=PREFIX_PATTERN,
        description="consumer group, and the changelog's prefix; `topics.prefix` and -worker if not set",
    )
    threads: int = Field(default=2, ge=1, le=64, description="detections computed at once in one process")
    in_work: int = Field(
        default=16, ge=1, le=64, description="most records that each of the two agents has in work at once"
    )
    data_folder: Path = Field(
        default=Path("streamcount-data/worker"), description="where Faust keeps its files"
    )
    host: str = Field(default="127.0.0.1", description="address of /metrics, /livez and /readyz")
    port: int = Field(
        default=9464, ge=0, le=65535, description="port of /metrics; process i of --processes adds i; 0 = any"
    )
    stall_s: float = Field(
        default=30.0, gt=0, le=3600, description="lag without progress for so long makes /livez fail"
    )


class CameraConfig(_Section):
    """One camera: where its frames come from and how they are sent."""

    source: SourceConfig
    encoding: Encoding = Field(
        default="jpeg", description="jpeg (small), png (exact, 8 or 16 bit) or raw (exact, fastest)"
    )
    jpeg_quality: int = Field(default=92, ge=30, le=100, description="for encoding jpeg")
    pixel_size_um: float | None = Field(
        default=None, gt=0, description="µm per pixel; overrides what the source says"
    )
    buffer_bytes: int = Field(
        default=256 * MEBIBYTE, ge=MEBIBYTE, description="frames that wait while the broker is away, bytes"
    )
    when_full: Literal["block", "drop-oldest"] = Field(
        default="block",
        description="buffer full: hold the camera back, or drop the oldest frames and tell so",
    )
    detector: DetectorConfig | None = Field(
        default=None, description="in place of [detector] for this camera"
    )
    tracker: TrackerConfig | None = Field(default=None, description="in place of [tracker] for this camera")
    chamber: ChamberConfig | None = Field(default=None, description="in place of [chamber] for this camera")

    zones: dict[PlaceName, ZoneConfig] = Field(
        default_factory=dict, max_length=100, description="polygons in which cells are told of"
    )
    lines: dict[PlaceName, LineConfig] = Field(
        default_factory=dict, max_length=100, description="lines at which passing cells are counted"
    )

    @model_validator(mode="after")
    def _places_can_be_told(self) -> CameraConfig:
        both = sorted(set(self.zones) & set(self.lines))
        if both:
            raise ValueError(
                f"{both[0]!r} names a zone and a line; figures could not be told apart, rename one"
            )
        in_um = PlacesConfig(zones=self.zones, lines=self.lines).in_um
        if in_um and self.pixel_size_um is None:
            raise ValueError(f"{in_um[0]} needs pixel_size_um of the camera; set it, or draw in points_px")
        return self

    @model_validator(mode="after")
    def _buffer_holds_a_frame(self) -> CameraConfig:
        if self.buffer_bytes < 4 * MEBIBYTE and self.encoding == "raw":
            raise ValueError("buffer_bytes below 4 MiB is too small for raw frames; raise it or use jpeg")
        return self


class FiguresConfig(_Section):
    """How sure the figures of windows are told to be."""

    level: float = Field(default=0.95, gt=0, lt=1, description="level of the confidence intervals")
    rule: Literal["exact", "mid-p"] = Field(
        default="exact",
        description="intervals of counts: exact never covers less than the level; mid-p covers it on average",
    )
    edges: Edges = Field(
        default="haemocytometer",
        description="which cells count in densities of the whole field: those that touch neither its lower nor its "
        "right edge; or whole-cells, each by how many it stands for",
    )


class Settings(_Section):
    """Everything that streamcount.toml may say; a key left out has its default."""

    kafka: KafkaConfig = KafkaConfig()
    topics: TopicsConfig = TopicsConfig()
    limits: LimitsConfig = LimitsConfig()
    worker: WorkerConfig = WorkerConfig()
    detector: DetectorConfig = Field(default_factory=lambda: TfliteConfig(model="blood-smear"))
    tracker: TrackerConfig = Field(default_factory=KalmanConfig)
    quality: QualityConfig = QualityConfig()
    windows: dict[Name, WindowConfig] = Field(default_factory=lambda: {"minute": WindowConfig(length_s=60)})
    figures: FiguresConfig = FiguresConfig()
    chamber: ChamberConfig | None = None
    events: EventsConfig = EventsConfig()
    snapshots: SnapshotsConfig = SnapshotsConfig()
    cameras: dict[Name, CameraConfig] = Field(default_factory=dict)
    groups: dict[Name, GroupConfig] = Field(default_factory=dict)
    sinks: dict[Name, SinkConfig] = Field(default_factory=dict)
    alerts: dict[Name, AlertRule] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _frames_fit_in_messages(self) -> Settings:
        # Headers and Kafka's own framing need room beside the image.
        if self.limits.frame_bytes > self.topics.max_message_bytes - 16_384:
            raise ValueError(
                "limits.frame_bytes must be at least 16 KiB below topics.max_message_bytes, "
                "or a frame that the worker would take could never be sent"
            )
        if self.topics.min_insync_replicas > self.topics.replication_factor:
            raise ValueError("topics.min_insync_replicas cannot exceed topics.replication_factor")
        return self

    @model_validator(mode="after")
    def _groups_are_of_cameras(self) -> Settings:
        for name, group in self.groups.items():
            if name in self.cameras:
                raise ValueError(
                    f"groups.{name} has a camera's name, so their windows could not be told apart; rename one"
                )
            for camera in group.cameras:
                if camera not in self.cameras:
                    near = difflib.get_close_matches(camera, self.cameras, n=1, cutoff=0.5)
                    hint = f"did you mean {near[0]!r}?" if near else f"add a table [cameras.{camera}]"
                    raise ValueError(f"groups.{name}.cameras: there is no camera {camera!r}; {hint}")
        return self

    @model_validator(mode="after")
    def _labels_keep_their_values(self) -> Settings:
        for name, camera in self.cameras.items():
            if self.spoils_labels(name, camera):
                raise ValueError(
                    f'cameras.{name}.encoding = "jpeg" changes the values that tell cells apart for the detector '
                    '"labels"; set encoding = "png" or "raw", which keep 8 and 16 bits'
                )
        return self

    @property
    def app_id(self) -> str:
        """The workers' consumer group, and what their changelog's name begins with.

        By default of the topics' prefix: two installations that shared it would take each other's states.
        """
        return self.worker.app_id or f"{self.topics.prefix}-worker"

    def spoils_labels(self, camera_id: str, camera: CameraConfig) -> bool:
        """Whether the camera would send as JPEG what the detector of its name takes for label images."""
        detector = camera.detector or self.detector_for(camera_id)
        return camera.encoding == "jpeg" and isinstance(detector, LabelsConfig)

    def _camera(self, camera_id: str) -> CameraConfig | None:
        return self.cameras.get(camera_id.removesuffix(REPLAY_SUFFIX))

    def detector_for(self, camera_id: str) -> DetectorConfig:
        """The detector's settings for a camera; a camera not listed has the common ones."""
        camera = self._camera(camera_id)
        return camera.detector if camera and camera.detector else self.detector

    def tracker_for(self, camera_id: str) -> TrackerConfig:
        """The tracker's settings for a camera; a camera not listed has the common ones."""
        camera = self._camera(camera_id)
        return camera.tracker if camera and camera.tracker else self.tracker

    @property
    def place_names(self) -> frozenset[str]:
        """Names of all cameras' zones and lines."""
        return frozenset(name for camera in self.cameras.values() for name in (*camera.zones, *camera.lines))

    def places_for(self, camera_id: str) -> PlacesMap:
        """The zones and lines of a camera; none of one not listed."""
        camera = self._camera(camera_id)
        if camera is None:
            return places_map(PlacesConfig())
        return places_map(PlacesConfig(zones=camera.zones, lines=camera.lines), camera.pixel_size_um)

    def windows_for(self, camera_id: str) -> WindowsSetup:
        """The windows of a camera, and how their figures are made."""
        camera = self._camera(camera_id)
        chamber = camera.chamber if camera and camera.chamber else self.chamber
        return WindowsSetup(self.windows, chamber, self._interval_rule(), self.figures.edges)

    def group_pipeline(self, name: str) -> GroupPipeline:
        """What sums and judges the windows of a group's cameras. Raises KeyError where there is no such group."""
        group = self.groups[name]
        wait_ns = round(group.wait_s * NS_PER_S)
        return GroupPipeline(Group(name, group.cameras, wait_ns, self._interval_rule()), self.alerts)

    def _interval_rule(self) -> Rule:
        return Rule(self.figures.level, self.figures.rule)

    def pipeline(self, camera_id: str, detector: Detector | None = None) -> Pipeline:
        """A pipeline as the camera is set up. Raises ModelError where a model cannot be loaded.

        detector: the camera's, where it was built already; cameras that are set up alike share one.
        """
        if detector is None:
            detector = self.detector_for(camera_id).build()
        return Pipeline(
            detector,
            self.tracker_for(camera_id).build(),
            events=self.events,
            quality=self.quality,
            windows=self.windows_for(camera_id),
            rules=self.alerts,
            places=self.places_for(camera_id),
        )
