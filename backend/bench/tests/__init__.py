"""Tests of the bench's own arithmetic and readers; no server is started here."""
