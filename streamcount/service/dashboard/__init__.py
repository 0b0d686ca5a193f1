"""The live page: a reader of all topics that belongs to no consumer group, and so never slows the counting."""
