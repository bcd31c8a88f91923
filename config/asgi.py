"""The ASGI application that Daphne serves: HTTP and WebSockets."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_asgi_application()  # sets Django up, which the imports below need

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import WebsocketDenier  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from jobs.live.consumers import JobConsumer  # noqa: E402
from jobs.live.origins import OwnOriginOnly  # noqa: E402

sockets = URLRouter(
    [
        path("ws/jobs/<uuid:job_id>/", JobConsumer.as_asgi()),
        re_path(r"", WebsocketDenier.as_asgi()),  # otherwise an unknown address is logged as an error
    ]
)
application = ProtocolTypeRouter({"http": django, "websocket": OwnOriginOnly(AuthMiddlewareStack(sockets))})
