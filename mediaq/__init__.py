"""Media analysis as a Postgres queue: one INSERT in, contact sheets, results and an event out."""

__version__ = "0.1.0"
