"""Sign-in."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from curation.signin import SignInRefused


class SignIn(LoginView):
    """The sign-in page; 429 with ``Retry-After`` where a brake holds."""

    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As Django's, with the brakes' answer."""
        try:
            return super().dispatch(request, *args, **kwargs)
        except SignInRefused as refused:
            return self._refuse(refused)

    def _refuse(self, refused: SignInRefused) -> HttpResponse:
        form = AuthenticationForm(self.request, initial={"username": self._username()})
        context = self.get_context_data(
            form=form, refused=str(refused), wait=_words(refused.retry_after)
        )
        response = self.render_to_response(context, status=429)
        response["Retry-After"] = str(refused.retry_after)
        return response

    def _username(self) -> str:
        return self.request.POST.get("username", "")[:150]


def _words(seconds: int) -> str:
    """A time to wait, as a sentence has it."""
    if seconds < 90:
        return f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes"
