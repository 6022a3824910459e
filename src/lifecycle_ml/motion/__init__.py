"""The lifecycle motion: the ten parts a company has to agree on, and which of them it has."""
