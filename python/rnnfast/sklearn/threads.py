"""The engine as a library whose threads threadpoolctl limits."""

from __future__ import annotations

from threadpoolctl import LibController

from rnnfast import config


class EngineController(LibController):
    """The engine in ``threadpoolctl.threadpool_info()`` and ``threadpool_limits``."""

    user_api = "rnnfast"
    internal_api = "rnnfast"
    filename_prefixes = ("_core",)
    check_symbols = ("PyInit_engine",)  # other packages have a module named _core, too

    def get_num_threads(self) -> int:
        """Return the engine's limit."""
        return config.get_num_threads()

    def set_num_threads(self, num_threads: int) -> None:
        """Set the engine's limit."""
        config.set_num_threads(num_threads)

    def get_version(self) -> str:
        """Return the package's version."""
        from rnnfast import __version__

        return __version__
