"""Feature definitions in, one pass over the events, the matrix out."""
