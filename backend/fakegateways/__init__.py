"""The three vendors over real HTTP, with every fault on demand; knows nothing of the service that calls it."""
