"""The PagerDuty Agent: events go from this host to PagerDuty, whatever happens on the way."""

__version__ = "3.0.0"
