"""The pipeline: one camera's counting from frame to events."""

from streamcount.pipeline.pipeline import Pipeline, is_news
from streamcount.pipeline.state import PipelineState, StepResult

__all__ = ["Pipeline", "PipelineState", "StepResult", "is_news"]
