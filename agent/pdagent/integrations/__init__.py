"""Integrations: what monitoring tools say, as events. They know neither HTTP nor the queue."""
