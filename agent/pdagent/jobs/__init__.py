"""Jobs: commands under `pd-send run`, and systemd's units. How they ended, and which of their
failures opened an incident."""
