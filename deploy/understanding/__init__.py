"""Text understanding at the command line: analysing texts, training heads, measuring both."""
