"""The admin of jobs. Autodiscovery imports only this package, so it imports the modules that register."""

from jobs.admin import jobs as jobs
from jobs.admin import webhooks as webhooks
