"""How good a frame is as a picture, and whether that changed."""
