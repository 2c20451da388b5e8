"""The paths of the accounts app; the ones that a fleet calls most come first."""

from django.urls import path

from apps.accounts.api import account_views, compat, recycled_views, verification_views, views, webhooks
from apps.accounts.api.routes import both

urlpatterns = [
    both("api/auth/phone/request/", views.PhoneRequest.as_view(), name="phone-request"),
    both("api/auth/phone/verify/", views.PhoneVerify.as_view(), name="phone-verify"),
    both("api/auth/token/refresh/", views.TokenRefresh.as_view(), name="token-refresh"),
    both("api/auth/status/", views.AccountStatus.as_view(), name="account-status"),
    both("api/auth/phone/resend/", views.PhoneResend.as_view(), name="phone-resend"),
    both("api/auth/phone/challenge/<opaque:challenge_id>/", views.PhoneChallenge.as_view(), name="phone-challenge"),
    both("api/auth/token/verify/", views.TokenVerify.as_view(), name="token-verify"),
    both("api/auth/logout/", views.Logout.as_view(), name="logout"),
    both("api/auth/logout/all/", views.LogoutAll.as_view(), name="logout-all"),
    both("api/auth/sessions/", views.SessionList.as_view(), name="sessions"),
    both("api/auth/sessions/<opaque:session_id>/", views.SessionOne.as_view(), name="session"),
    both("api/auth/otp/request/", verification_views.OtpRequest.as_view(), name="otp-request"),
    both("api/auth/otp/resend/", verification_views.OtpResend.as_view(), name="otp-resend"),
    both("api/auth/otp/verify/", verification_views.OtpVerify.as_view(), name="otp-verify"),
    both("api/auth/phone/choose/", recycled_views.PhoneChoose.as_view(), name="phone-choose"),
    both("api/auth/claims/", recycled_views.ClaimList.as_view(), name="claims"),
    both("api/auth/claims/<opaque:claim_id>/", recycled_views.ClaimOne.as_view(), name="claim"),
    both("api/auth/account/", account_views.Account.as_view(), name="account"),
    both("api/auth/account/export/", account_views.AccountExport.as_view(), name="account-export"),
    path(".well-known/jwks.json", account_views.KeySet.as_view(), name="jwks"),
    both("api/webhooks/twilio/", webhooks.TwilioWebhook.as_view(), name="webhook-twilio"),
    both("api/webhooks/whatsapp/", webhooks.WhatsAppWebhook.as_view(), name="webhook-whatsapp"),
    both("api/mobile/auth/production/request/", compat.OldRequest.as_view(), name="old-request"),
    both("api/mobile/auth/production/verify/", compat.OldVerify.as_view(), name="old-verify"),
    both("api/mobile/auth/production/resend/", verification_views.OldResend.as_view(), name="old-resend"),
    both("api/mobile/auth/production/status/", compat.OldStatus.as_view(), name="old-status"),
    both("api/mobile/auth/request/", compat.TestingRequest.as_view(), name="testing-request"),
    both("api/mobile/auth/verify/", compat.TestingVerify.as_view(), name="testing-verify"),
]
