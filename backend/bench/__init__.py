"""Load and cost measurements of the service, side by side with the unavoidable minimum.

It speaks to the service over HTTP only and knows nothing of what is inside it.
"""
