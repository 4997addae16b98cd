"""The smallest Django form that writes a row, as the baseline of the benchmark."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils import timezone

from messaging.models import OutgoingMessage


class SmallestForm(forms.Form):
    subject = forms.CharField()


def smallest(http: HttpRequest) -> HttpResponse:
    form = SmallestForm(http.POST)
    if form.is_valid():
        now = timezone.now()
        OutgoingMessage.objects.create(recipient="a@b.example", due_at=now, created_at=now, **form.cleaned_data)
    return redirect("/")


urlpatterns = [path("", smallest)]
