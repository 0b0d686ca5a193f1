"""The pipeline: one camera's counting from frame to events."""

from streamcount.pipeline.groups import GroupPipeline, GroupRunState
from streamcount.pipeline.pipeline import Pipeline, is_news
from streamcount.pipeline.state import PipelineState, RunPosition, StepResult

__all__ = [
    "GroupPipeline",
    "GroupRunState",
    "Pipeline",
    "PipelineState",
    "RunPosition",
    "StepResult",
    "is_news",
]
