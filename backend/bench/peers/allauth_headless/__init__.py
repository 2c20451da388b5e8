"""django-allauth's headless API: phone signup by code on Django, under the server that service and floor have."""
