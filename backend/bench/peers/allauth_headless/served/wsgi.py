"""The peer's WSGI door; it must not know which server opens it."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
