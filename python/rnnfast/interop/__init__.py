"""Bridges to other libraries. Each module imports its library when it is itself imported, and nobody else does."""
