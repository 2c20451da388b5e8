"""The drill: people log in, gateways break on purpose, promises are counted."""
