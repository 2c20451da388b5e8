"""The four calls of the floor and its readiness; it must not know what they cost."""

from django.urls import path

from bench.floor import views

urlpatterns = [
    path("request", views.request_code),
    path("verify", views.verify_code),
    path("refresh", views.refresh),
    path("status", views.status),
    path("ready", views.ready),
]
