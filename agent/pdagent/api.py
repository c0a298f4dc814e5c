"""What PagerDuty documents of its Events API: addresses, paths, limits, words.

Sources: PagerDuty's "Events API v2 overview", "Send an alert event", "Send a change event" and
"Events API v1" pages. Nothing else in the agent knows these numbers.
"""

BASE_URLS = {
    "us": "https://events.pagerduty.com",
    "eu": "https://events.eu.pagerduty.com",
}
V2_PATH = "/v2/enqueue"
CHANGE_PATH = "/v2/change/enqueue"
V1_PATH = "/generic/2010-04-15/create_event.json"
HEARTBEAT_URL = "https://api.pagerduty.com/agent/2014-03-14/heartbeat"

ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "error", "warning", "info")
DEFAULT_SEVERITY = "critical"  # the severity that PagerDuty shows for a v1 event

SUMMARY_CHARS = 1024  # v2 payload.summary, v1 description
DEDUP_KEY_CHARS = 255  # v2 dedup_key, v1 incident_key
BODY_BYTES = 512_000

# What the two versions call the integration key, the action and the dedup key of an event.
V2_FIELDS = V2_KEY, V2_ACTION, V2_DEDUP_KEY = ("routing_key", "event_action", "dedup_key")
V1_FIELDS = V1_KEY, V1_ACTION, V1_DEDUP_KEY = ("service_key", "event_type", "incident_key")
# Lists in a v2 body, and the address that each of their entries must have.
ADDRESSES = {"links": "href", "images": "src"}
