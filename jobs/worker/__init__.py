"""The worker: its loop, leases, journal and heartbeat."""
