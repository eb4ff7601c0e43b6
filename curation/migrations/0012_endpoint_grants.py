"""Grants of endpoints, and one for each endpoint that is in use, for an administrator to review.

An endpoint from before is granted only where it answered its probe as a model does, and with a key
only where every endpoint that names this key stands at the same address. Anything else stays as a
row and is refused at its next use, with a sentence that says what to do.
"""

import ipaddress
import re
from urllib.parse import urlsplit

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

NOTE = "existed before grants; review"
HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
KEY = re.compile(r"[A-Z0-9_]*_API_KEY|WHITTLE_KEY_[A-Z0-9_]+")


def place_of(base_url):
    """(scheme, host, port), or None for an address that is not plainly written."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or parts.username or parts.query or parts.fragment:
        return None
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        last = host.rpartition(".")[2]
        if not HOST.fullmatch(host) or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last):
            return None
    return parts.scheme, host, port or {"http": 80, "https": 443}[parts.scheme]


def is_private(scheme, host):
    """Plain HTTP is spoken inside; a public API speaks HTTPS."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return scheme == "http"


def grant_what_is_in_use(apps, schema_editor):
    endpoints = list(apps.get_model("curation", "ModelEndpoint").objects.exclude(base_url=""))
    grants = apps.get_model("curation", "EndpointGrant").objects
    places = {}
    for one in endpoints:
        places.setdefault(one.api_key_env, set()).add(place_of(one.base_url))
    for one in endpoints:
        place, key = place_of(one.base_url), one.api_key_env
        answered = (one.capabilities or {}).get("completes") == "yes"
        key_is_bound = not key or (KEY.fullmatch(key) and places[key] == {place})
        if place is None or not answered or not key_is_bound:
            continue
        scheme, host, port = place
        grants.get_or_create(
            project_id=one.project_id, scheme=scheme, host=host, port=port, key_variable=key,
            revoked_at=None, defaults={"private": is_private(scheme, host), "note": NOTE},
        )


class Migration(migrations.Migration):

    dependencies = [
        ('curation', '0011_job_path_rights'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='EndpointGrant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scheme', models.CharField(max_length=5)),
                ('host', models.CharField(max_length=253)),
                ('port', models.PositiveIntegerField()),
                ('key_variable', models.CharField(blank=True, max_length=100)),
                ('private', models.BooleanField(default=False)),
                ('note', models.CharField(blank=True, max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('granted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='curation.project')),
                ('revoked_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('revoked_at', None)), fields=('project', 'scheme', 'host', 'port', 'key_variable'), name='one_grant', nulls_distinct=False)],
            },
        ),
        migrations.RunPython(grant_what_is_in_use, migrations.RunPython.noop, elidable=True),
    ]
