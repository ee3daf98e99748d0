"""costspan: every call to Anthropic or OpenAI priced exactly, the moment it happens."""
