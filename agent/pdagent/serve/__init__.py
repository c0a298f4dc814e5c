"""What the daemon serves beside delivery: an Events API of its own, metrics, health, a
heartbeat."""
