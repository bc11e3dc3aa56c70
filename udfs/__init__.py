"""Text understanding: batched model handlers; nothing in here imports pyflink."""
