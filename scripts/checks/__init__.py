"""What `make check` holds the project to, beside the tools that others wrote."""
