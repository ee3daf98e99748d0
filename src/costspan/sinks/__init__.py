"""Where a settled call is shown at once: on its span and in the process's metrics."""
