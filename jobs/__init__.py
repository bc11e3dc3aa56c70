"""What is submitted: settings, tables, wiring, and one module a job."""
