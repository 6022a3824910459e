"""What a score calls for: who does it, by when, who is told if it slips."""
