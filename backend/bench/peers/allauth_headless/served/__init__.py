"""The site that the peer serves: its settings, its user and its way to the gateway. It must not use the service."""
