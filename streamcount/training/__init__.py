"""Training, compiling and evaluating the dense detection net (needs the ``train`` extra)."""
