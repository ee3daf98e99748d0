"""What the dashboards are made of: questions in SQL and PromQL, panels, variables, and one module a dashboard."""
