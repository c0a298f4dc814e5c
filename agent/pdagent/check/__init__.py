"""`pdagent check`: whether pages would go out from this host, and what to do where they would not.

Each module looks at one thing and yields findings. None of them prints, and none sends an event but
`trial`, which does so only when asked to.
"""
