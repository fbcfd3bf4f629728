"""Every setting of the service: read once from the environment and `.env`, checked, the same for everyone.

`docs/configuration.md` is made from the descriptions in `settings` and `groups`.
"""

from app.config.environment import Variable, variables
from app.config.fitness import check_fit_to_start, check_sealing_keys, missing_keys
from app.config.groups import DequeConfig, KafkaConfig, RateLimitConfig, RetryConfig, SimulatorConfig, TenantConfig
from app.config.load import ConfigurationError, get_settings, load_settings
from app.config.settings import ROLES, Role, Settings
from app.config.tracing import TracingConfig
from app.config.values import PostgresqlServer, SqliteFile

__all__ = [
    "ROLES",
    "ConfigurationError",
    "DequeConfig",
    "KafkaConfig",
    "PostgresqlServer",
    "RateLimitConfig",
    "RetryConfig",
    "Role",
    "Settings",
    "SimulatorConfig",
    "SqliteFile",
    "TenantConfig",
    "TracingConfig",
    "Variable",
    "check_fit_to_start",
    "check_sealing_keys",
    "get_settings",
    "load_settings",
    "missing_keys",
    "variables",
]
