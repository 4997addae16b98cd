"""The public page that checks whether a receipt is genuine. It discloses nothing else."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from cancellations.forms.requests import VerifyForm
from cancellations.services.receipts import is_genuine


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def check(http: HttpRequest) -> HttpResponse:
    """Checks a file, or a reference and seal. The answer for a missing and for a changed receipt is the same."""
    posted = (http.POST, http.FILES) if http.method == "POST" else (None, None)
    form = VerifyForm(*posted)
    genuine = None
    if form.is_bound and form.is_valid():
        file = form.cleaned_data["file"]
        genuine = is_genuine(
            file=file.read() if file else None,
            reference=form.cleaned_data["reference"],
            seal=form.cleaned_data["seal"],
        )
    context = {"form": form, "genuine": genuine}
    return render(http, "portal/verify.html", context, status=422 if form.errors else 200)
