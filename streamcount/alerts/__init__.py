"""Rules over figures: when to tell a person."""
