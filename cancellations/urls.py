from django.urls import path

from cancellations import views

urlpatterns = [
    path("", views.entry, name="entry"),
    path("subscriptions/", views.subscriptions, name="subscriptions"),
    path("cancel/", views.cancel, name="cancel"),
    path("requests/", views.follow, name="follow"),
    path("requests/proof/<str:token>/", views.prove, name="request_proof"),
    path("requests/<slug:reference>/", views.status, name="request_status"),
    path("requests/<slug:reference>/received/", views.received, name="request_received"),
    path("requests/<slug:reference>/link/", views.prove_again, name="request_link"),
    path("requests/<slug:reference>/take-back/", views.take_back, name="request_take_back"),
    path("policy/", views.policy, name="policy"),
    path("policy/history/", views.policy_history, name="policy_history"),
    path("policy/<int:number>/", views.policy, name="policy_version"),
    path("brand.css", views.brand_style, name="brand_style"),
]
