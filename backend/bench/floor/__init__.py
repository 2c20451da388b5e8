"""The floor: the least that a phone login can cost on this stack, and what every ratio is against.

It must never grow a feature: no limits, no sessions, no checks beyond the unavoidable input and output.
"""
