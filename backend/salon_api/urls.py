"""Every path of the service: the accounts API first, as a fleet calls it most."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, path

from apps.accounts.api import docs, errors_doc
from apps.accounts.api.problems import unknown_path
from apps.accounts.api.routes import both
from apps.accounts.dev import views as dev
from apps.accounts.urls import urlpatterns as accounts
from apps.ops.staff.login import StaffLogin
from apps.ops.urls import urlpatterns as ops

handler400 = "apps.accounts.api.problems.handler400"
handler403 = "apps.accounts.api.problems.handler403"
handler404 = "apps.accounts.api.problems.handler404"
handler500 = "apps.accounts.api.problems.handler500"

urlpatterns: list[URLPattern | URLResolver] = [*accounts, *ops]
if settings.DEBUG:
    urlpatterns += [
        path("dev/phone/", dev.handset, name="dev-phone"),
        path("dev/phone", dev.handset),
        path("dev/messages/", dev.messages, name="dev-messages"),
        path("dev/messages", dev.messages),
    ]
urlpatterns += [
    both("api/schema/", docs.schema, name="schema"),
    both("api/docs/", docs.browse, name="docs"),
    both("errors/", errors_doc.index, name="errors"),
    path("errors/style.css", errors_doc.style, name="errors-style"),
    both("errors/<slug:code>/", errors_doc.page, name="error"),
]
admin.site.final_catch_all_view = False
admin.site.login_form = StaffLogin
urlpatterns += [path("admin/", admin.site.urls), unknown_path()]
