"""The scored trial: films whose truth is known to the last cell, followed and scored. `make score` runs it."""
