"""django-allauth's own addresses and one that says that the process answers."""

from django.http import HttpRequest, JsonResponse
from django.urls import include, path


def ready(request: HttpRequest) -> JsonResponse:
    """Say that the process answers."""
    return JsonResponse({"status": "ok"})


urlpatterns = [path("_allauth/", include("allauth.headless.urls")), path("ready", ready)]
