"""One file, one job: `ray job submit -- python -m ray_jobs.NAME`; and the actors behind them."""

from alpharay.log import log_to_standard_error
from alpharay.settings import prepare_for_ray, settings
from alpharay.telemetry.redaction import secrets_of
from alpharay.telemetry.trace_export import start_tracing

# Here, because every job imports this package before it imports Ray.
prepare_for_ray(settings())
log_to_standard_error(settings().log_level, log_format=settings().log_format, secrets=secrets_of(settings()))
start_tracing(settings(), "jobs")
