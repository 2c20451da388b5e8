"""The paths of operations. Those that never had a slash have none; all come before Django's own `/admin/`."""

from django.urls import path

from apps.accounts.api.routes import both
from apps.ops.api import blacklist, dashboard, health, metrics, people, provider, read_out
from apps.ops.staff import views as staff

urlpatterns = [
    path("otp/status", health.ServiceStatus.as_view(), name="status"),
    both("api/auth/otp/status/", health.ServiceStatus.as_view(), name="status-api"),
    path("healthz", health.Health.as_view(), name="healthz"),
    path("readyz", health.Readiness.as_view(), name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("admin/otp/dashboard", dashboard.DashboardEndpoint.as_view(), name="operator-dashboard"),
    path("admin/sms/otp", staff.page, name="staff-dashboard"),
    path("admin/sms/otp/data", staff.data, name="staff-dashboard-data"),
    path("admin/sms/otp/act", staff.act, name="staff-dashboard-act"),
    path("admin/otp/blacklist", blacklist.Blacklist.as_view(), name="operator-blacklist"),
    path("admin/otp/provider", provider.ProviderChoice.as_view(), name="operator-provider"),
    path("admin/otp/sessions", read_out.ReadOutSessions.as_view(), name="operator-sessions"),
    path("admin/otp/explain", people.Explain.as_view(), name="operator-explain"),
    path("admin/otp/affected", people.Affected.as_view(), name="operator-affected"),
]
