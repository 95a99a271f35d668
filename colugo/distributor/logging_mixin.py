"""A logger for sources and targets."""

import logging

_ATTRIBUTE = "_distributor_logger"


class LoggingMixin:
    """Gives a class a logger, by default the one named after it.

    Args:
        _logger: the logger; None for the default.
    """

    def __init__(self, _logger: logging.Logger | None = None) -> None:
        if _logger is not None:
            self.logger = _logger

    # Nothing is kept before it is set: a subclass need not call this __init__.
    @property
    def logger(self) -> logging.Logger:
        """The logger.

        Raises:
            TypeError: if something else than a `logging.Logger` is set.
        """
        logger: logging.Logger | None = getattr(self, _ATTRIBUTE, None)
        return logger if logger is not None else logging.getLogger(type(self).__name__)

    @logger.setter
    def logger(self, logger: logging.Logger) -> None:
        if not isinstance(logger, logging.Logger):
            raise TypeError(f"logger must be a logging.Logger, not {logger!r}")
        object.__setattr__(self, _ATTRIBUTE, logger)

    def log(self, level: int, item: object) -> bool:
        """Log something.

        Args:
            level: a level of `logging`, such as `logging.INFO`.
            item: the text, or an object to log as text.

        Returns:
            False if `logging` has no level of that number; then nothing is logged.
        """
        if logging.getLevelName(level) not in logging.getLevelNamesMapping():
            return False
        self.logger.log(level, "%s", item)
        return True
