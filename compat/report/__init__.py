"""What a run ends in: terminal table, JSON, junit."""
