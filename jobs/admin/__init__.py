"""The admin of jobs; importing its modules registers them, as autodiscovery imports only this package."""

from jobs.admin import jobs as jobs
from jobs.admin import webhooks as webhooks
