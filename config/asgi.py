"""The ASGI application for HTTP and WebSockets, as Daphne serves it."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_asgi_application()  # sets Django up; the imports below need its models

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import WebsocketDenier  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from config.proxies import ProxyHeaders  # noqa: E402
from jobs.live.consumers import JobConsumer  # noqa: E402
from jobs.live.origins import OwnOriginOnly  # noqa: E402

sockets = URLRouter(
    [
        path(f"{settings.BASE_PATH[1:]}ws/jobs/<uuid:job_id>/", JobConsumer.as_asgi()),
        re_path(r"", WebsocketDenier.as_asgi()),  # otherwise Channels logs an unknown path as an error
    ]
)
application = ProxyHeaders(
    ProtocolTypeRouter({"http": django, "websocket": OwnOriginOnly(AuthMiddlewareStack(sockets))}),
    settings.TRUSTED_PROXIES,
)
