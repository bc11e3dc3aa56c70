"""What is watched, as code: rules of Prometheus, dashboards of Grafana, a page without Grafana."""
