"""The development handset: what a laptop shows instead of sending.

It must not know challenges, limits or gateways; in production nothing is ever recorded here and no path leads here.
"""
