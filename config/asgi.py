"""The way in for HTTP and sockets, as Daphne serves it."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_asgi_application()  # sets Django up; what follows needs its models

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import WebsocketDenier  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from jobs.live.consumers import JobConsumer  # noqa: E402
from jobs.live.origins import OwnOriginOnly  # noqa: E402

sockets = URLRouter(
    [
        path("ws/jobs/<uuid:job_id>/", JobConsumer.as_asgi()),
        re_path(r"", WebsocketDenier.as_asgi()),  # else an unknown address is an error in our log
    ]
)
application = ProtocolTypeRouter({"http": django, "websocket": OwnOriginOnly(AuthMiddlewareStack(sockets))})
