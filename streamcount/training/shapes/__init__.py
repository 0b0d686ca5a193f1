"""The second stage's training: cells of one class, cut out, told apart further."""
