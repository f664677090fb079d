"""Metrics as pure functions, the predictions file they are computed from, and the report: no other room."""
