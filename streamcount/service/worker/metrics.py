"""The worker's Prometheus metrics. A camera is a label, a cell never is."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from streamcount.types import ModelIdentity

LATENCY_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
STAGE_BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.02, 0.04, 0.08, 0.16, 0.5, 1, 5)


class WorkerMetrics:
    """All that a worker measures, in a registry of its own, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.frames = Counter(
            "streamcount_frames",
            "Frames by outcome: counted, dead-lettered, missing (never arrived), repeated (had been counted).",
            ["camera", "outcome"],
            registry=self.registry,
        )
        self.dead_letters = Counter(
            "streamcount_dead_letters", "Records put aside, by reason.", ["reason"], registry=self.registry
        )
        self.stage_seconds = Histogram(
            "streamcount_stage_duration_seconds",
            "Time of one frame in each stage: decode, detect, track, encode.",
            ["stage"],
            buckets=STAGE_BUCKETS,
            registry=self.registry,
        )
        self.latency_seconds = Histogram(
            "streamcount_capture_to_event_seconds",
            "From capture of a frame to Kafka's confirmation of its events.",
            ["camera"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.cells = Gauge(
            "streamcount_cells",
            "Cells in the newest frame, by class.",
            ["camera", "cell_class"],
            registry=self.registry,
        )
        self.events = Counter("streamcount_events", "Events sent, by kind.", ["kind"], registry=self.registry)
        self.in_flight_bytes = Gauge(
            "streamcount_in_flight_bytes",
            "Encoded images taken and not yet acknowledged.",
            registry=self.registry,
        )
        self.last_processed = Gauge(
            "streamcount_last_processed_timestamp_seconds",
            "When the newest frame of the camera was acquired.",
            ["camera"],
            registry=self.registry,
        )
        self.lag = Gauge(
            "streamcount_lag_records",
            "Records of the assigned partitions that wait to be handled.",
            ["topic"],
            registry=self.registry,
        )
        self.holes = Counter(
            "streamcount_offset_holes",
            "Holes between a partition's offsets: passed-over (the process ends to resume before them), "
            "absent (the broker has no record there).",
            ["kind"],
            registry=self.registry,
        )
        self.rebalances = Counter(
            "streamcount_rebalances", "Times that partitions were assigned anew.", registry=self.registry
        )
        self.model = Info("streamcount_model", "The default model and its sha256.", registry=self.registry)

    def set_model(self, model: ModelIdentity) -> None:
        """Tells which model counts."""
        self.model.info({"name": model.name, "sha256": model.sha256, "classes": ",".join(model.class_names)})
