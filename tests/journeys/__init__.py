"""Journeys: the promises of the project as tests with real processes, real signals and exact counts."""
