from django.urls import path

from cancellations.pages import account, cancel, entry, policy, requests, verify

urlpatterns = [
    path("", entry.entry, name="entry"),
    path("subscriptions/", account.subscriptions, name="subscriptions"),
    path("cancel/", cancel.cancel, name="cancel"),
    path("requests/", requests.follow, name="follow"),
    path("requests/code/", requests.follow_code, name="follow_code"),
    path("requests/proof/<str:token>/", requests.prove, name="request_proof"),
    path("requests/<slug:reference>/", requests.status, name="request_status"),
    path("requests/<slug:reference>/received/", requests.received, name="request_received"),
    path("requests/<slug:reference>/link/", requests.prove_again, name="request_link"),
    path("requests/<slug:reference>/declaration.txt", requests.declaration, name="request_declaration"),
    path("requests/<slug:reference>/question/", requests.question, name="request_question"),
    path("requests/<slug:reference>/take-back/", requests.take_back, name="request_take_back"),
    path("your-data/", account.your_data, name="your_data"),
    path("your-data.json", account.your_data_file, name="your_data_file"),
    path("subscriptions/cancel-by.ics", account.cancel_by, name="cancel_by"),
    path("requests/<slug:reference>/ends/<int:part>.ics", requests.ends, name="request_ends"),
    path("requests/<slug:reference>/receipt.pdf", requests.receipt, name="request_receipt"),
    path("verify/", verify.check, name="verify"),
    path("requests/<slug:reference>/files/", requests.files, name="request_files"),
    path("requests/<slug:reference>/files/<uuid:key>/", requests.file, name="request_file"),
    path("policy/", policy.policy, name="policy"),
    path("policy/history/", policy.history, name="policy_history"),
    path("policy/feed/", policy.PolicyFeed(), name="policy_feed"),
    path("policy/compare/", policy.choose, name="policy_choose"),
    path("policy/compare/<int:before>/<int:after>/", policy.compare, name="policy_compare"),
    path("policy/<int:number>/", policy.policy, name="policy_version"),
    path("law/", entry.law, name="law"),
]
