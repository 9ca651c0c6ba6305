"""Measures of the queue, each beside a floor or a peer that ran on the same database."""
