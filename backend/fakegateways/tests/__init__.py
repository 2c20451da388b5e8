"""What the fake gateways promise, over a socket."""
