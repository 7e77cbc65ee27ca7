"""The process beside the workers: health checks and name resolution (later certificates, admin API, dashboard)."""
