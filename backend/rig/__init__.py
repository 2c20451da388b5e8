"""The rig: starts the real service against real stores and fake gateways, for races, drills and runbooks."""
