"""What the makers of events about cells share: the fields that every such event has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streamcount.events.memory import NO_CLASS, CellMemory
from streamcount.types import Float32Array, ModelIdentity, Tracks


@dataclass(frozen=True)
class Scene:
    """One frame's tracks, and the memory that has one row for each of them."""

    tracks: Tracks
    memory: CellMemory
    model: ModelIdentity

    def said(self, row: int, class_id: int, *, first: bool = False, last: bool = False) -> dict[str, Any]:
        """The fields that all events about a cell share; of this frame, or of the first or last sighting."""
        tracks, meta = self.tracks, self.tracks.metadata
        centroids: Float32Array = self.memory.centroids_px if first or last else tracks.centroids_px
        boxes: Float32Array = self.memory.boxes_px if first or last else tracks.boxes_px
        sequence, happened = meta.sequence, meta.acquired_at_ns
        if first:
            sequence, happened = int(tracks.first_sequences[row]), int(tracks.first_seen_ns[row])
        if last:
            sequence, happened = int(tracks.last_sequences[row]), int(tracks.last_seen_ns[row])
        y, x = centroids[row].tolist()
        y0, x0, y1, x1 = boxes[row].tolist()
        return {
            "camera_id": meta.camera_id,
            "run_id": meta.run_id,
            "sequence": sequence,
            "happened_at_ns": happened,
            "decided_at_ns": meta.acquired_at_ns,
            "track_id": int(tracks.track_ids[row]),
            "parent_id": int(tracks.parent_ids[row]),
            "generation": int(tracks.generations[row]),
            "birth_sequence": int(tracks.first_sequences[row]),
            "class_name": self.model.class_names[class_id],
            "centroid_px": (y, x),
            "box_px": (y0, x0, y1, x1),
        }

    def told_class(self, row: int) -> int:
        """The class last told of a cell; what the tracker thinks of one not seen since the model changed."""
        told = int(self.memory.told_classes[row])
        return int(self.tracks.class_ids[row]) if told == NO_CLASS else told
