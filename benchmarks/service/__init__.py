"""Load figures of the service: `python -m benchmarks.service`."""
