"""The wire: one event to PagerDuty and the verdict on it. It does not know when to try again."""
