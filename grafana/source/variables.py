"""The variables that every dashboard of what was spent has."""

from __future__ import annotations

from source.dashboard import Variable, chosen, text

__all__ = ["SPEND", "ZONE"]

ZONE = text("zone", "Days of", "Where a day begins: set it to COSTSPAN_TIMEZONE, as Europe/Berlin.", "UTC")
SPEND: tuple[Variable, ...] = (
    chosen("tenant", "Tenant", "Whose calls.", "tenants"),
    chosen("service", "Service", "The API family: anthropic or openai.", "services"),
    chosen("model", "Model", "The model that served the call.", "models"),
    chosen("feature", "Feature", "What the application did it for.", "features"),
    ZONE,
)
