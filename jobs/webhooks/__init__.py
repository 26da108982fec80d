"""Webhooks on their way out: the loop, what becomes of an attempt, and the POST itself."""
