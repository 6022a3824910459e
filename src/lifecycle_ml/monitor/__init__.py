"""Is what serves still right: data, drift and performance in, one verdict out."""
