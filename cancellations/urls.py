from django.urls import path

from cancellations import cancel_views, pages, policy_pages, request_views, verify_pages

urlpatterns = [
    path("", pages.entry, name="entry"),
    path("subscriptions/", pages.subscriptions, name="subscriptions"),
    path("cancel/", cancel_views.cancel, name="cancel"),
    path("requests/", request_views.follow, name="follow"),
    path("requests/code/", request_views.follow_code, name="follow_code"),
    path("requests/proof/<str:token>/", request_views.prove, name="request_proof"),
    path("requests/<slug:reference>/", request_views.status, name="request_status"),
    path("requests/<slug:reference>/received/", request_views.received, name="request_received"),
    path("requests/<slug:reference>/link/", request_views.prove_again, name="request_link"),
    path("requests/<slug:reference>/declaration.txt", request_views.declaration, name="request_declaration"),
    path("requests/<slug:reference>/question/", request_views.question, name="request_question"),
    path("requests/<slug:reference>/take-back/", request_views.take_back, name="request_take_back"),
    path("your-data/", pages.your_data, name="your_data"),
    path("your-data.json", pages.your_data_file, name="your_data_file"),
    path("subscriptions/cancel-by.ics", pages.cancel_by, name="cancel_by"),
    path("requests/<slug:reference>/ends/<int:part>.ics", request_views.ends, name="request_ends"),
    path("requests/<slug:reference>/receipt.pdf", request_views.receipt, name="request_receipt"),
    path("verify/", verify_pages.check, name="verify"),
    path("requests/<slug:reference>/files/", request_views.files, name="request_files"),
    path("requests/<slug:reference>/files/<uuid:key>/", request_views.file, name="request_file"),
    path("policy/", policy_pages.policy, name="policy"),
    path("policy/history/", policy_pages.history, name="policy_history"),
    path("policy/feed/", policy_pages.PolicyFeed(), name="policy_feed"),
    path("policy/compare/", policy_pages.choose, name="policy_choose"),
    path("policy/compare/<int:before>/<int:after>/", policy_pages.compare, name="policy_compare"),
    path("policy/<int:number>/", policy_pages.policy, name="policy_version"),
    path("law/", pages.law, name="law"),
]
