"""What we change in the templates of django-unfold, so that its pages keep to our content security policy.

Its scripts evaluate attributes of the page. The build of Alpine.js for a content security policy (docs/adr/0026) reads
one expression in each, without functions and without the browser's globals; static/js/desk-alpine.js has the rest.
"""

from collections.abc import Iterator

from django.core.exceptions import ImproperlyConfigured
from django.template import Origin
from django.template.loaders.app_directories import Loader as AppDirectories

PATCHES = {
    "unfold/layouts/skeleton.html": [
        (
            """x-data="{
                  {% if opts %}activeTab: '{% tabs_primary_active inline_admin_formsets %}',{% endif %}
                  sidebarMobileOpen: false,
                  sidebarDesktopOpen: (localStorage.getItem('sidebarDesktopOpen') !== null) ? (localStorage.getItem('sidebarDesktopOpen') == '1') : true
                  }"
          x-init="
                  activeTab = {% if opts %}getCurrentTab() || '{% tabs_primary_active inline_admin_formsets %}'{% else %}''{% endif %};
                  $watch('sidebarDesktopOpen', value => localStorage.setItem('sidebarDesktopOpen', value ? '1' : '0'));
                 \"""",
            """x-data="deskPage('{% if opts %}{% tabs_primary_active inline_admin_formsets %}{% endif %}')\"""",
        ),
        ("{% static 'unfold/js/alpine/alpine.js' %}", "{% static 'vendor/alpine/alpine-csp.min.js' %}"),
        ('<style id="unfold-theme-colors">', '<style id="unfold-theme-colors" nonce="{{ request.csp_nonce }}">'),
        (  # htmx evaluates nothing, and adds no style sheet of its own
            "<title>{{ environment",
            """<meta name="htmx-config" content='{"allowEval": false, "includeIndicatorStyles": false}'>
        <title>{{ environment""",
        ),
    ],
    "unfold/helpers/welcomemsg.html": [
        # The page itself stores it (desk-alpine.js)
        ("; localStorage.setItem('sidebarDesktopOpen', sidebarDesktopOpen ? '1' : '0');", ""),
    ],
    "unfold/helpers/command.html": [
        (
            "if (!$event.metaKey && !$event.ctrlKey) "
            "selectItem({% if command_show_history %}true{% else %}false{% endif %}, false)",
            "selectUnlessHeld($event, {% if command_show_history %}true{% else %}false{% endif %})",
        ),
    ],
    "admin/change_list.html": [
        ("        <style>\n", '        <style nonce="{{ request.csp_nonce }}">\n'),
    ],
}


class Loader(AppDirectories):
    """Loads the templates of PATCHES with our changes. Stands before Django's loader of the apps' templates."""

    def get_template_sources(self, template_name: str) -> Iterator[Origin]:
        if template_name in PATCHES:
            yield from super().get_template_sources(template_name)

    def get_contents(self, origin: Origin) -> str:
        """Raises ImproperlyConfigured if the template no longer holds what is changed, after an upgrade of unfold."""
        contents: str = super().get_contents(origin)
        name = str(origin.template_name)
        for old, new in PATCHES[name]:
            if contents.count(old) != 1:
                raise ImproperlyConfigured(f"{name} has changed: revise PATCHES in config/desk/frame.py.")
            contents = contents.replace(old, new)
        return contents
