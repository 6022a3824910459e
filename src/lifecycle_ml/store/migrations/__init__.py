"""The steps by which a store made by an earlier version becomes one of this version, run by Alembic."""
