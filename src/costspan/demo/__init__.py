"""The demo: a conversation memory written with the official SDKs, and loopback servers that answer as the providers do.

Nothing here leaves the machine. The servers keep a bill of their own, with their own prices, so the demo ends by
comparing two independent sums: what the providers billed and what the ledger says.
"""
