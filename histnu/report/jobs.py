"""Independent pieces of the reproduction, run side by side on the cores of the machine."""

from histnu.core.pool import Job, run_jobs

__all__ = ["Job", "run_jobs"]
