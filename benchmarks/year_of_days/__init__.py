"""A simulated company's year, run by run, with people who do a share of the work."""
