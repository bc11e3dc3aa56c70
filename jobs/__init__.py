"""What is submitted: settings, wiring, and one module a job."""
