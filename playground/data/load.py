"""Get a data set, from wherever it is."""

from playground.data import store
from playground.data.catalog import find_info, is_ready
from playground.data.progress import Progress, Report
from playground.data.store import Arrays

__all__ = ["Arrays", "Progress", "Report", "load_dataset"]


def load_dataset(name: str, progress: Report | None = None) -> Arrays:
    """Return a data set's arrays; the first time they are unpacked or downloaded, then they are on this disk.

    Two processes that want the same set wait for each other. What was downloaded before a cut or a cancel is kept, and
    the next call goes on from there.

    Args:
        progress: called often while something is fetched; raise in it to cancel.

    Raises:
        DataError: there is no such set, or it cannot be downloaded; one line that says what to do.
    """
    if not find_info(name).bundled and not is_ready(name):
        from playground.data import download  # torchvision takes seconds to import, and only a download needs it.

        with store.locked(name, progress):
            if not is_ready(name):  # Another process got it while this one waited.
                download.download_dataset(name, progress)
    return store.open_arrays(name)
